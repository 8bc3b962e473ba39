package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/auth0grpc/auth0grpc/proto"
)

// optionsFile is the name under which .proto files import the options.
const optionsFile = "auth0grpc/v1/policy.proto"

// runProto writes the file of the options into a folder.
func runProto(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("auth0grpc proto", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("out", "third_party", "`folder` for "+optionsFile+"; - prints the file")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "auth0grpc: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	if *out == "-" {
		fmt.Fprint(stdout, proto.Options)
		return exitOK
	}
	name := filepath.Join(*out, filepath.FromSlash(optionsFile))
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, []byte(proto.Options), 0o644)
	}
	if err != nil {
		fmt.Fprintf(stderr, "auth0grpc: %v\n", err)
		return exitUsage
	}
	fmt.Fprintln(stdout, name)
	return exitOK
}
