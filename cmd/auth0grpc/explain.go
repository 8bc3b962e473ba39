package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/grammar"
)

// An explainer holds the flags of explain.
type explainer struct {
	method     string
	policies   []string
	issuers    []string
	audiences  []string
	algorithms []string
	skew       time.Duration
	dpop, mtls bool
	offline    bool
	timeout    time.Duration
	ca         string
	now        func() time.Time
	live       http.RoundTripper // loads the keys; nil: a new one
}

// maxTokenInput bounds standard input. A server reads tokens of 16 KiB at most.
const maxTokenInput = 64 << 10

// runExplain explains the decision of a server on a token. The exit status is 0 if the
// server would accept the call, 1 if not, and 2 if that cannot be explained.
func runExplain(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &explainer{now: time.Now}
	flags := flag.NewFlagSet("auth0grpc explain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `Usage: auth0grpc explain [flags] < token

Explain reads an access token from standard input. It prints each check of a server,
its result and the remedy. It sends nothing, unless -issuer names an
issuer to load the keys of. It never prints the token, its subject or its scopes.

`)
		flags.PrintDefaults()
	}
	list := func(values *[]string) func(string) error {
		return func(value string) error {
			*values = append(*values, value)
			return nil
		}
	}
	flags.StringVar(&e.method, "method", "", "full `method` of the call, as in /orders.v1.Orders/Get")
	flags.Func("policy", "`file` with the table: JSON or a descriptor set, also in a Git revision; may be repeated", list(&e.policies))
	flags.Func("issuer", "an `issuer` that the server accepts; loads its keys and verifies the signature; may be repeated", list(&e.issuers))
	flags.Func("audience", "an `identifier` of the API that the server accepts; may be repeated", list(&e.audiences))
	flags.Func("algorithms", "`list` of the algorithms that the server accepts (default RS256)", func(value string) error {
		e.algorithms = splitList(value)
		return nil
	})
	flags.DurationVar(&e.skew, "clock-skew", 0, "Config.ClockSkew of the server")
	flags.BoolVar(&e.dpop, "dpop", false, "the server accepts tokens bound by DPoP")
	flags.BoolVar(&e.mtls, "mtls", false, "the server accepts tokens bound to a client certificate")
	flags.BoolVar(&e.offline, "offline", false, "send nothing in spite of -issuer, and do not verify the signature")
	flags.StringVar(&e.ca, "ca", "", "`file` with the PEM certificates to trust for the keys instead of the system's")
	flags.DurationVar(&e.timeout, "timeout", 30*time.Second, "`limit` for loading the keys")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil {
		return exitUsage
	}
	if flags.NArg() > 0 { // it may be the token: do not print it
		fmt.Fprintln(stderr, "auth0grpc: explain: unexpected argument; the token is read from standard input, because arguments are visible to other users")
		return exitUsage
	}
	if method := e.fullMethod(); !grammar.IsMethodPattern(method) || strings.HasSuffix(method, "*") {
		fmt.Fprintf(stderr, "auth0grpc: explain: -method %s: want a full method, as in /pkg.Service/Method\n", method)
		return exitUsage
	}
	raw, err := readToken(stdin)
	if err != nil {
		fmt.Fprintf(stderr, "auth0grpc: explain: %v\n", err)
		return exitUsage
	}
	x, err := e.explain(ctx, raw)
	if err != nil {
		fmt.Fprintf(stderr, "%v\n", err)
		return exitUsage
	}
	return x.print(stdout)
}

// readToken reads a token. It accepts the form of an HTTP header too.
func readToken(stdin io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(stdin, maxTokenInput+1))
	if err != nil {
		return "", fmt.Errorf("standard input: %w", err)
	}
	if len(data) > maxTokenInput {
		return "", fmt.Errorf("standard input has more than %d bytes; want the token alone", maxTokenInput)
	}
	text := string(bytes.TrimSpace(data))
	for _, prefix := range []string{"authorization:", "bearer ", "dpop "} {
		if len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
			text = strings.TrimSpace(text[len(prefix):])
		}
	}
	if text == "" {
		return "", errors.New("standard input is empty; want the token, as in: auth0grpc explain < token")
	}
	return text, nil
}

// A checkState is the result of a check.
type checkState string

const (
	checkOK   checkState = "ok"
	checkFail checkState = "FAIL"
	checkOpen checkState = "?" // not decided
	checkNote checkState = "note"
)

// A check is one line of an explanation.
type check struct {
	state  checkState
	name   string
	text   string
	remedy string // the change that helps; may be empty
}

// An explanation is the output of explain.
type explanation struct {
	checks   []check
	decision string
	allowed  bool
}

func (x *explanation) add(state checkState, name, text, remedy string) {
	x.checks = append(x.checks, check{state, name, text, remedy})
}

func (x *explanation) print(w io.Writer) int {
	printChecks(w, x.checks)
	fmt.Fprintf(w, "\n%s\n", x.decision)
	if x.allowed {
		return exitOK
	}
	return exitFaults
}

// printChecks writes checks in columns, each with its remedy below.
func printChecks(w io.Writer, checks []check) {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range checks {
		fmt.Fprintf(columns, "%-4s\t%s\t%s\n", c.state, c.name, c.text)
		if c.remedy != "" {
			fmt.Fprintf(columns, "\t\t-> %s\n", c.remedy)
		}
	}
	columns.Flush() // errors are for the caller's own writes
}

// explain makes every check of a token.
func (e *explainer) explain(ctx context.Context, raw string) (*explanation, error) {
	methods, err := e.table(ctx)
	if err != nil {
		return nil, err
	}
	// A server refuses a table that requires a binding which is not enabled.
	e.dpop = e.dpop || tableRequires(methods, "requireDPoP")
	e.mtls = e.mtls || tableRequires(methods, "requireMTLS")
	if err := e.validate(methods); err != nil {
		return nil, err
	}
	x := &explanation{}
	token, ok := x.checkForm(raw)
	if !ok {
		x.decision = "A server refuses the call: Unauthenticated."
		return x, nil
	}
	x.checkHeader(token, e.algorithmList())
	x.checkIssuer(token, e.issuers)
	x.checkKind(token)
	x.checkAudience(token, e.audiences)
	x.checkTimes(token, e.now(), e.skew)
	rule, listed := x.checkRow(e.method, methods)
	x.checkBinding(token, e, rule)
	if listed {
		x.checkRule(token, rule)
	}
	engine := engine{explainer: e, token: token, raw: raw, methods: methods}
	if err := engine.decide(ctx, x); err != nil {
		return nil, err
	}
	return x, nil
}

func (e *explainer) algorithmList() []string {
	if len(e.algorithms) == 0 {
		return []string{"RS256"}
	}
	return e.algorithms
}

// table returns the table of the policy files, or nil without any.
func (e *explainer) table(ctx context.Context) (map[string]auth0grpc.Rule, error) {
	if len(e.policies) > 0 && e.method == "" {
		return nil, errors.New("auth0grpc: explain: -policy needs -method")
	}
	return readTables(ctx, e.policies)
}
