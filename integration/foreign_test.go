package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// A report holds the results that a client of another language shows to its users.
type report struct {
	Item          string // GetOrder with a good token
	Messages      int    // WatchOrders with a good token
	Missing       seen   // GetOrder without a token
	MissingStream seen   // WatchOrders without a token
	Scope         seen   // CreateOrder with a token for reading

	// The clients with native gRPC alone make these calls.
	Expired       seen // GetOrder with an expired token
	ExpiredStream seen // WatchOrders with an expired token
	NoKeys        seen // GetOrder with a token of an issuer that is down
	Ended         seen // WatchOrders with a token that is revoked during the call
}

// seen is one refusal.
type seen struct {
	Code      int
	Message   string
	Reason    string
	Challenge string
	Retry     bool // the server stated when to retry
}

// wanted is the report expected of every client.
var wanted = report{
	Item:     "tea",
	Messages: 3,
	Missing:  seen{int(codes.Unauthenticated), "auth0grpc: no access token was sent", "MISSING_TOKEN", "Bearer", false},
	MissingStream: seen{
		int(codes.Unauthenticated), "auth0grpc: no access token was sent", "MISSING_TOKEN", "Bearer", false,
	},
	Scope: seen{
		int(codes.PermissionDenied), "auth0grpc: the access token lacks a scope that the method needs", "INSUFFICIENT_SCOPE",
		`Bearer error="insufficient_scope", scope="write:orders"`, false,
	},
}

// nativeWanted is the report expected of a client with native gRPC.
func nativeWanted() report {
	want := wanted
	want.Expired = invalidToken("TOKEN_EXPIRED", "the access token has expired")
	want.ExpiredStream = want.Expired
	want.NoKeys = seen{int(codes.Unavailable), "auth0grpc: the signing keys of the issuer are unavailable", "KEYS_UNAVAILABLE", "", true}
	want.Ended = invalidToken("TOKEN_REVOKED", "the access token has been revoked")
	return want
}

func invalidToken(reason, text string) seen {
	challenge := `Bearer error="invalid_token", error_description="` + text + `"`
	return seen{int(codes.Unauthenticated), "auth0grpc: " + text, reason, challenge, false}
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
	env         []string // tokens of calls that are refused
}

func newStage(t *testing.T) *stage {
	t.Helper()
	a := newAuthority(t)
	p := startProvider(t, a)
	f := newRefusingTenants(t, a)
	s := &stage{
		server: serve(t, a, append(f.issuers(), p.issuer), f.configure),
		token:  p.machineToken(t, "read:orders"), env: f.env(),
	}
	f.revoke = func(subject string) error {
		return s.guard.Revoke(t.Context(), auth0grpc.Revocation{Issuer: f.up.Issuer(), Subject: subject, IssuedBefore: time.Now().Add(time.Minute)})
	}
	s.descriptors = writeDescriptors(t, a)
	return s
}

// refusingTenants are two tenants whose tokens cause refusals: one is up, one is down.
type refusingTenants struct {
	up, down *auth0grpctest.Tenant
	client   *http.Client
	revoke   func(subject string) error
}

const revokedSubject = "auth0|revoked"

func newRefusingTenants(t *testing.T, a *authority) *refusingTenants {
	t.Helper()
	f := &refusingTenants{up: auth0grpctest.NewTenant(t), down: auth0grpctest.NewTenant(t), client: a.httpClient()}
	f.down.SetDown(true)
	return f
}

func (f *refusingTenants) issuers() []string { return []string{f.up.Issuer(), f.down.Issuer()} }

// env returns the tokens for the environment of a client.
func (f *refusingTenants) env() []string {
	claims := func(more map[string]any) map[string]any {
		all := map[string]any{"aud": tenant.Audience, "scope": "read:orders"}
		maps.Copy(all, more)
		return all
	}
	return []string{
		"EXPIRED=" + f.up.Token(claims(map[string]any{"exp": time.Now().Add(-time.Hour)})),
		"NO_KEYS=" + f.down.Token(claims(nil)),
		"REVOKED=" + f.up.Token(claims(map[string]any{"sub": revokedSubject})),
	}
}

// configure sends the requests for the two tenants to them, and revokes the tokens of a
// subject as soon as its stream is open.
func (f *refusingTenants) configure(config *auth0grpc.Config) {
	bearerOnly(config)
	config.HTTPClient = &http.Client{Transport: f}
	config.OnDecision = func(_ context.Context, d auth0grpc.Decision) {
		if d.Subject == revokedSubject && d.Outcome == auth0grpc.OutcomeAllowed {
			go func() { _ = f.revoke(revokedSubject) }()
		}
	}
}

// RoundTrip implements [http.RoundTripper].
func (f *refusingTenants) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, t := range []*auth0grpctest.Tenant{f.up, f.down} {
		if strings.HasPrefix(r.URL.String(), t.Issuer()) {
			return t.HTTPClient().Transport.RoundTrip(r)
		}
	}
	return f.client.Transport.RoundTrip(r)
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
