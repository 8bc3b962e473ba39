// Command auth0grpc prints the table of a policy, compares it with the methods
// that a server has, and writes down the scopes that are to be defined in Auth0.
//
//	go run github.com/auth0grpc/auth0grpc/cmd/auth0grpc -policy policy.json -reflect localhost:50051 -insecure-plaintext
//	go run github.com/auth0grpc/auth0grpc/cmd/auth0grpc -policy policy.json -descriptors set.binpb -format terraform
//
// The policy is a JSON file (see package policy), or the options in the .proto
// files of the methods, or both. Run it with -h for the flags.
//
// The exit status is 0 if nothing is wrong. It is 1 if the policy has faults,
// methods are without a row, rows match no method, or scopes are used that -defined
// does not have. It is 2 if nothing could be checked: wrong flags, a file that
// cannot be read, a server that does not answer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

const (
	exitOK = iota
	exitFaults
	exitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// options are the flags.
type options struct {
	policy      string
	descriptors string
	reflect     string
	plaintext   bool
	ca          string
	token       string // from the environment
	timeout     time.Duration
	format      string
	audience    string
	defined     string
	hasDefined  bool
	version     bool
}

// tokenVariable names what a token for reflection is read from. It is no flag:
// other users of the machine see those.
const tokenVariable = "AUTH0GRPC_TOKEN"

func parseFlags(args []string, getenv func(string) string, stderr io.Writer) (*options, error) {
	o := &options{token: getenv(tokenVariable)}
	flags := flag.NewFlagSet("auth0grpc", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.policy, "policy", "", "JSON `file` with the policy; merged with the options in the descriptors")
	flags.StringVar(&o.descriptors, "descriptors", "", "`file` with a descriptor set of all services (buf build -o, protoc --descriptor_set_out)")
	flags.StringVar(&o.reflect, "reflect", "", "`host:port` of a server with reflection; "+tokenVariable+" in the environment is sent to it, over TLS alone")
	flags.BoolVar(&o.plaintext, "insecure-plaintext", false, "reach that server without TLS")
	flags.StringVar(&o.ca, "ca", "", "`file` with the certificates to trust, in place of the system's")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "`limit` on the time with that server")
	flags.StringVar(&o.format, "format", "table", "what to print: table, or the scopes as terraform, auth0-cli or json")
	flags.StringVar(&o.audience, "audience", "", "`identifier` of the API in Auth0, for terraform and auth0-cli")
	flags.StringVar(&o.defined, "defined", "", "`scopes` that the API has in Auth0, to compare with; separated by commas or spaces")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.version {
		return o, nil
	}
	flags.Visit(func(f *flag.Flag) { o.hasDefined = o.hasDefined || f.Name == "defined" })
	err := o.check(flags.Args())
	if err != nil {
		fmt.Fprintf(stderr, "auth0grpc: %v\n", err)
	}
	return o, err
}

func (o *options) check(args []string) error {
	switch {
	case len(args) > 0:
		return fmt.Errorf("unexpected argument %q", args[0])
	case o.policy == "" && o.descriptors == "" && o.reflect == "":
		return errors.New("want -policy, -descriptors or -reflect")
	case o.descriptors != "" && o.reflect != "":
		return errors.New("want one of -descriptors and -reflect")
	case o.reflect == "" && (o.plaintext || o.ca != ""):
		return errors.New("-insecure-plaintext and -ca are for -reflect")
	case o.plaintext && o.ca != "":
		return errors.New("want one of -insecure-plaintext and -ca")
	case o.format != "table" && formats[o.format] == nil:
		return fmt.Errorf("-format %q: want table, terraform, auth0-cli or json", o.format)
	}
	return nil
}

// run is the command. It returns the exit status.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args, getenv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return exitUsage
	}
	if o.version {
		fmt.Fprintln(stdout, "auth0grpc", version())
		return exitOK
	}
	in, err := load(ctx, o)
	if err != nil {
		fmt.Fprintf(stderr, "auth0grpc: %v\n", err)
		return exitUsage
	}
	result, err := inspect(in)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFaults
	}
	findings := stdout
	if o.format == "table" {
		fmt.Fprintln(stdout, strings.TrimRight(result.table, "\n"))
	} else {
		findings = stderr
		text, err := formats[o.format](result.scopes, o.audience)
		if err != nil {
			fmt.Fprintf(stderr, "auth0grpc: -format %s: %v\n", o.format, err)
			return exitFaults
		}
		fmt.Fprint(stdout, text)
	}
	if o.hasDefined {
		result.compare(fields(o.defined))
	}
	return result.print(findings)
}

// fields splits a list at commas and white space.
func fields(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' || r == '\r' })
}
