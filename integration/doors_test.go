package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// doorsDir is the folder of doorsProgram. TestMain removes it.
var doorsDir string

// doorsProgram is the path of examples/doors, built once for all tests.
var doorsProgram = sync.OnceValues(func() (program string, err error) {
	if doorsDir, err = os.MkdirTemp("", "doors"); err != nil {
		return "", err
	}
	program = filepath.Join(doorsDir, "doors")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "../examples/doors"
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return program, nil
})

// doors is the example server of all doors, as a process.
type doors struct {
	*process
	address     string   // of the loopback interface
	tokens      []string // variables of the environment: READER=token and so on
	descriptors string   // a file, with the unlisted method Drop
}

// startDoors starts the server. Its tokens are in the environment that it prints.
func startDoors(t *testing.T) *doors {
	t.Helper()
	program, err := doorsProgram()
	if err != nil {
		t.Fatal(err)
	}
	d := &doors{process: run(t, exec.Command(program, "-addr", "127.0.0.1:0"))}
	line := d.expect(t, "# Doors on http://")
	d.address, _, _ = strings.Cut(line, ". ")
	for len(d.tokens) == 0 || !strings.HasPrefix(d.tokens[len(d.tokens)-1], "OTHER_API=") { // the last one
		d.tokens = append(d.tokens, d.expect(t, "export "))
	}
	d.descriptors = d.reflect(t)
	return d
}

func (d *doors) token(name string) string {
	for _, token := range d.tokens {
		if value, ok := strings.CutPrefix(token, name+"="); ok {
			return value
		}
	}
	return ""
}

// revoke ends the streams of all tokens, and returns when it has.
func (d *doors) revoke(t *testing.T) {
	t.Helper()
	if _, err := fmt.Fprintln(d.input); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "# All tokens are revoked.")
}

// reflect reads the descriptors of the service from the server, and adds a method that
// the table does not list and the details of errors.
func (d *doors) reflect(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "doors.binpb")
	output, err := exec.Command(need(t, "grpcurl"), "-plaintext", "-H", "authorization: Bearer "+d.token("READER"),
		"-protoset-out", file, d.address, "describe", "doors.v1.Orders").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(text, set); err != nil {
		t.Fatal(err)
	}
	var add func(protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if slices.ContainsFunc(set.File, func(f *descriptorpb.FileDescriptorProto) bool { return f.GetName() == file.Path() }) {
			return
		}
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add((&errdetails.ErrorInfo{}).ProtoReflect().Descriptor().ParentFile())
	add((&spb.Status{}).ProtoReflect().Descriptor().ParentFile())
	for _, f := range set.File {
		for _, service := range f.Service {
			if f.GetPackage() == "doors.v1" {
				drop := proto.CloneOf(service.Method[0])
				drop.Name, drop.Options = proto.String("Drop"), nil
				service.Method = append(service.Method, drop)
			}
		}
	}
	if text, err = proto.Marshal(set); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A doorReport holds the results that a client shows to its users.
type doorReport struct {
	Item     string // GetOrder with a good token
	Messages int    // ListOrders with a good token
	Bidi     int    // WatchOrders with a good token, of clients that have such streams

	Missing, Expired, Scope, Unlisted, Outage *doorRefusal // unary calls
	MissingStream, ExpiredStream              *doorRefusal // streams of the server
	ScopeStream                               *doorRefusal // a stream of the client
	MissingBidi                               *doorRefusal
	Ended                                     *doorRefusal // an open stream whose token is revoked
}

// A doorRefusal is one refusal.
type doorRefusal struct {
	Code      int
	Reason    string
	Challenge string // WWW-Authenticate
	Retry     string // Retry-After, or grpc-retry-pushback-ms
}

// doorWants has the code, the reason and a part of the challenge of each refusal.
var doorWants = map[string]struct {
	code      codes.Code
	reason    string
	challenge string
}{
	"missing":  {codes.Unauthenticated, "MISSING_TOKEN", "Bearer"},
	"expired":  {codes.Unauthenticated, "TOKEN_EXPIRED", `error="invalid_token"`},
	"scope":    {codes.PermissionDenied, "INSUFFICIENT_SCOPE", `scope="write:orders"`},
	"unlisted": {codes.PermissionDenied, "METHOD_NOT_LISTED", ""},
	"outage":   {codes.Unavailable, "KEYS_UNAVAILABLE", ""},
	"ended":    {codes.Unauthenticated, "TOKEN_REVOKED", ""}, // the headers were sent before
}

// checkRefusal compares one refusal with what each client of each door sees.
func checkRefusal(t *testing.T, shape, kind string, got *doorRefusal) {
	t.Helper()
	want := doorWants[kind]
	switch {
	case got == nil:
		t.Errorf("%s, %s: no result", shape, kind)
	case got.Code != int(want.code) || got.Reason != want.reason:
		t.Errorf("%s, %s: %+v, want %d %s", shape, kind, *got, want.code, want.reason)
	case kind != "ended" && (!strings.Contains(got.Challenge, want.challenge) || want.challenge == "" && got.Challenge != ""):
		t.Errorf("%s, %s: challenge %q, want %q", shape, kind, got.Challenge, want.challenge)
	case (got.Retry != "") != (kind == "outage"):
		t.Errorf("%s, %s: retry after %q", shape, kind, got.Retry)
	}
}

// check compares a report; bidi says that the client has streams in both directions.
func (r *doorReport) check(t *testing.T, bidi bool) {
	t.Helper()
	if bidi {
		summarize(t, "all shapes; code, reason, challenge, retry; an open stream ends by a revocation")
	} else {
		summarize(t, "unary calls and streams of the server; code, reason, challenge, retry")
	}
	if r.Item != "tea" || r.Messages == 0 || bidi && r.Bidi != 2 {
		t.Errorf("with a good token: %q, %d messages, %d in a stream of both directions", r.Item, r.Messages, r.Bidi)
	}
	for kind, got := range map[string]*doorRefusal{"missing": r.Missing, "expired": r.Expired, "scope": r.Scope, "unlisted": r.Unlisted, "outage": r.Outage} {
		checkRefusal(t, "unary", kind, got)
	}
	checkRefusal(t, "stream", "missing", r.MissingStream)
	checkRefusal(t, "stream", "expired", r.ExpiredStream)
	if bidi {
		checkRefusal(t, "both directions", "missing", r.MissingBidi)
		checkRefusal(t, "both directions", "ended", r.Ended)
	}
}

// visit runs a script under node/ that prints "ready" when its streams are open, and its
// reports by client and door when they have ended.
func (d *doors) visit(t *testing.T, script string) map[string]*doorReport {
	t.Helper()
	command := exec.Command(needNode(t), "node/"+script, d.address, d.descriptors)
	command.Env = append(os.Environ(), d.tokens...)
	client := start(t, command)
	d.revoke(t)
	var reports map[string]*doorReport
	if err := json.Unmarshal([]byte(client.expect(t, "report ")), &reports); err != nil {
		t.Fatal(err)
	}
	return reports
}
