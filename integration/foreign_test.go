package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// A report holds the results that a client of another language shows to its users.
type report struct {
	Item          string // GetOrder with a good token
	Messages      int    // WatchOrders with a good token
	Missing       seen   // GetOrder without a token
	MissingStream seen   // WatchOrders without a token
	Scope         seen   // CreateOrder with a token for reading
}

// seen is one refusal.
type seen struct {
	Code      int
	Message   string
	Reason    string
	Challenge string
}

// wanted is the report expected of every client.
var wanted = report{
	Item:     "tea",
	Messages: 3,
	Missing:  seen{int(codes.Unauthenticated), "auth0grpc: no access token was sent", "MISSING_TOKEN", "Bearer"},
	MissingStream: seen{
		int(codes.Unauthenticated), "auth0grpc: no access token was sent", "MISSING_TOKEN", "Bearer",
	},
	Scope: seen{
		int(codes.PermissionDenied), "auth0grpc: the access token lacks a scope that the method needs", "INSUFFICIENT_SCOPE",
		`Bearer error="insufficient_scope", scope="write:orders"`,
	},
}

// doubled is the report expected of a client that joins header and trailer: both
// contain the challenge.
func doubled(r report) report {
	for _, s := range []*seen{&r.Missing, &r.MissingStream, &r.Scope} {
		s.Challenge += ", " + s.Challenge
	}
	return r
}

// A stage is the environment of foreign clients: a server, a token for reading, and the
// descriptors of the API in a file.
type stage struct {
	*server
	token       string
	descriptors string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	a := newAuthority(t)
	p := startProvider(t, a)
	s := &stage{server: serve(t, a, []string{p.issuer}, bearerOnly), token: p.machineToken(t, "read:orders")}
	s.descriptors = writeDescriptors(t, a)
	return s
}

// bearerOnly leaves the bindings out, and with them the second challenge.
func bearerOnly(config *auth0grpc.Config) {
	config.DPoP, config.MTLS = auth0grpc.DPoPConfig{}, auth0grpc.MTLSConfig{}
}

// writeDescriptors writes the descriptors for clients without generated code: the API
// and the details of errors, with all imports.
func writeDescriptors(t *testing.T, a *authority) string {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(ordersv1.File_orders_proto)
	add((&errdetails.ErrorInfo{}).ProtoReflect().Descriptor().ParentFile())
	add((&spb.Status{}).ProtoReflect().Descriptor().ParentFile())
	text, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "orders.binpb", string(text))
	return a.path("orders.binpb")
}

// check runs a client, which prints a report as JSON, and compares.
func (s *stage) check(t *testing.T, name string, command *exec.Cmd, want report) {
	t.Helper()
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, output, stderr.String())
	}
	var got report
	if err := json.Unmarshal(output, &got); err != nil {
		t.Fatalf("%s: %v in %s", name, err, output)
	}
	if got != want {
		t.Errorf("%s saw\n%+v, want\n%+v", name, got, want)
	}
}

// launch starts a server of others and waits until it accepts connections.
func launch(t *testing.T, address string, command *exec.Cmd) {
	t.Helper()
	p := run(t, command)
	eventually(t, fmt.Sprint(command.Args, " accepts connections"), func() bool {
		select {
		case <-p.done:
			t.Fatalf("%s ended", command.Args)
		default:
		}
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}
