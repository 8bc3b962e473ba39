// Command auth0grpc prints the table of a policy, compares it with the methods of a
// server, and writes the scopes to define in Auth0.
//
//	go run github.com/auth0grpc/auth0grpc/cmd/auth0grpc -policy policy.json -reflect localhost:50051 -insecure-plaintext
//	go run github.com/auth0grpc/auth0grpc/cmd/auth0grpc -policy policy.json -descriptors set.binpb -format terraform
//
// The policy is a JSON file (see package policy), the options in the .proto files of
// the methods, or both. The flag -h prints the flags.
//
// Each service of a descriptor set counts as served. In a buf image ("buf build -o
// image.binpb") a service of an imported file counts only if the policy file has a row
// for it. Other descriptor sets do not mark imports: name such services with -ignore.
//
// The exit status is 0 if the check succeeds. It is 1 if the policy has faults,
// methods have no row, rows match no method, or -defined lacks scopes that the table
// uses. It is 2 if the check could not run: wrong flags, an unreadable file, a server
// that does not answer.
//
// "auth0grpc diff OLD NEW" compares two policies and prints which methods admit more or
// fewer calls. The exit status is 1 if a method admits more and -allow does not name it,
// and 2 if the policies cannot be compared. See docs/changing-a-policy.md.
//
// "auth0grpc replay -log decisions.jsonl -policy new.json" evaluates a log of package
// auth0grpclog under another table, and prints the calls whose outcome differs. The exit
// status is 1 if a call passes that was refused and -allow does not name its method. A call
// that was refused and is undecided now counts too. The exit status is 2 if the log or the
// policy cannot be read, or a line of the log is damaged.
//
// "auth0grpc explain" reads an access token from standard input. It prints each check of
// a server, its result and the remedy. It sends nothing unless -issuer is given. The exit
// status is 0 if the server would accept the call, and 1 if not.
//
// "auth0grpc doctor -issuer …" checks the outside of a server: discovery, keys, algorithms
// and the clock. With credentials it also requests and verifies a token. Each finding
// names the remedy. The exit status is 1 if a check fails.
//
// "auth0grpc proto" writes the .proto file of the options, for projects that keep a copy.
//
// Three subcommands serve development without an account: "tenant" runs a test tenant
// until it is interrupted, "token" prints one of its tokens, and "block" blocks one of its
// users. With -h they print their flags. Their exit status is 0 or 2.
//
// "go run" itself exits with 1 if the command fails in any way. Scripts that tell 1
// from 2 call the installed command, or "go tool auth0grpc".
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
	"unicode"
)

const (
	exitOK = iota
	exitFaults
	exitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// options holds the flags.
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
	ignored     string
	version     bool
}

// tokenEnv names the environment variable with the token for reflection. A flag would
// be visible to other users of the machine.
const tokenEnv = "AUTH0GRPC_TOKEN"

func parseFlags(args []string, getenv func(string) string, stderr io.Writer) (*options, error) {
	o := &options{token: strings.TrimSpace(getenv(tokenEnv))}
	flags := flag.NewFlagSet("auth0grpc", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.policy, "policy", "", "JSON `file` with the policy; merged with the options in the descriptors")
	flags.StringVar(&o.descriptors, "descriptors", "", "`file` with a descriptor set of all services (buf build -o, protoc --descriptor_set_out)")
	flags.StringVar(&o.reflect, "reflect", "", "`host:port` of a server with reflection; sends the token in "+tokenEnv+" over TLS")
	flags.BoolVar(&o.plaintext, "insecure-plaintext", false, "connect to that server without TLS, and without a token")
	flags.StringVar(&o.ca, "ca", "", "`file` with the PEM certificates to trust instead of the system's")
	flags.DurationVar(&o.timeout, "timeout", 30*time.Second, "`limit` for all requests to that server")
	flags.StringVar(&o.format, "format", "table", "what to print: table, or the scopes as terraform, auth0-cli or json")
	flags.StringVar(&o.audience, "audience", "", "`identifier` of the API in Auth0, for terraform and auth0-cli")
	flags.StringVar(&o.ignored, "ignore", "", "`services` to leave out of the comparison, as in pkg.Service; separated by commas or spaces")
	flags.StringVar(&o.defined, "defined", "", "`scopes` defined on the API in Auth0, to compare; separated by commas or spaces")
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
		return errors.New("-insecure-plaintext and -ca need -reflect")
	case o.reflect == "" && o.descriptors == "" && o.ignored != "":
		return errors.New("-ignore needs -descriptors or -reflect")
	case o.plaintext && o.ca != "":
		return errors.New("want one of -insecure-plaintext and -ca")
	case o.plaintext && o.token != "":
		return errors.New("with -insecure-plaintext the token in " + tokenEnv + " would not be sent; unset it, or connect by TLS")
	case o.reflect != "" && strings.ContainsFunc(o.token, isNotTokenRune):
		return errors.New(tokenEnv + ": want the token alone, without \"Bearer\"")
	case o.format != "table" && formats[o.format] == nil:
		return fmt.Errorf("-format %q: want table, terraform, auth0-cli or json", o.format)
	}
	return nil
}

// run executes the command and returns the exit status.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		switch args[0] {
		case "tenant":
			return runTenant(ctx, args[1:], stdout, stderr)
		case "token":
			return runToken(ctx, args[1:], stdout, stderr)
		case "block":
			return runBlock(ctx, args[1:], stdout, stderr)
		case "proto":
			return runProto(args[1:], stdout, stderr)
		case "diff":
			return runDiff(ctx, args[1:], getenv, stdout, stderr)
		case "replay":
			return runReplay(ctx, args[1:], getenv, stdin, stdout, stderr)
		case "explain":
			return runExplain(ctx, args[1:], stdin, stdout, stderr)
		case "doctor":
			return runDoctor(ctx, args[1:], getenv, stdout, stderr)
		}
	}
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
		result.compare(splitList(o.defined))
	}
	return result.print(findings)
}

// splitList splits a list at commas and white space.
func splitList(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

// isNotTokenRune reports whether r is outside the characters of a token and of HTTP
// header values without spaces.
func isNotTokenRune(r rune) bool { return r <= ' ' || r > '~' }
