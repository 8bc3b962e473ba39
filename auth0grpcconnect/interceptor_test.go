package auth0grpcconnect_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcconnect"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

type claims = map[string]any

const (
	service  = "/grpc.testing.TestService/"
	unary    = service + "UnaryCall"
	duplex   = service + "FullDuplexCall"
	owned    = service + "CacheableUnaryCall"
	unlisted = service + "HalfDuplexCall"
	unknown  = service + "NoSuchCall"
)

// A fixture is a server behind the interceptor, and clients of each protocol.
type fixture struct {
	tenant  *auth0grpctest.Tenant
	guard   *auth0grpc.Interceptor
	clients map[string]*connect.Client
	duplex  func(context.Context, connect.ServerStream) error // the handler of the stream
	unary   func(context.Context) error                       // of the unary methods, before they answer; may be nil
	http    *http.Client                                      // of all clients
	url     string
	ran     chan string
	mux     http.Handler // of Connect
}

func newFixture(t testing.TB, changes ...func(*auth0grpc.Config)) *fixture {
	t.Helper()
	f := &fixture{tenant: auth0grpctest.NewTenant(t), clients: map[string]*connect.Client{}, ran: make(chan string, 100)}
	config := auth0grpc.Config{
		Issuers: []string{f.tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: f.tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{
			unary: auth0grpc.Scopes("read:orders"), duplex: auth0grpc.Scopes("read:orders"),
			owned: auth0grpc.Authenticated().Same("response_status.message", auth0grpc.ClaimSubject),
		},
	}
	for _, change := range changes {
		change(&config)
	}
	var err error
	if f.guard, err = auth0grpc.New(config); err != nil {
		t.Fatal(err)
	}
	server := connect.NewServer(auth0grpcconnect.Interceptor(f.guard))
	auth0grpcconnect.HideUnknown(server)
	answer := func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		if err := stream.Receive(new(testgrpc.SimpleRequest)); err != nil {
			return err
		}
		f.ran <- spec.Procedure
		if f.unary != nil {
			if err := f.unary(ctx); err != nil {
				return err
			}
		}
		token, _ := auth0grpc.TokenFromContext(ctx)
		return stream.Send(&testgrpc.SimpleResponse{Username: token.Subject()})
	}
	server.Register(
		connect.Method{Spec: connect.Spec{Procedure: unary, IdempotencyLevel: connect.IdempotencyNoSideEffects}, Handler: answer},
		connect.Method{Spec: connect.Spec{Procedure: owned}, Handler: answer},
		connect.Method{Spec: connect.Spec{Procedure: unlisted}, Handler: answer},
		connect.Method{Spec: connect.Spec{Procedure: duplex, StreamType: connect.StreamTypeBidi}, Handler: func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
			f.ran <- duplex
			return f.duplex(ctx, stream)
		}},
	)
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	f.mux = mux
	h := httptest.NewUnstartedServer(mux)
	h.EnableHTTP2 = true
	h.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	h.StartTLS()
	t.Cleanup(h.Close)
	f.http, f.url = h.Client(), h.URL
	for name, options := range map[string][]connecthttp.Option{"Connect": nil, "gRPC": {connecthttp.WithGRPC()}, "gRPC-Web": {connecthttp.WithGRPCWeb()}} {
		f.clients[name] = connect.NewClient(connecthttp.NewTransport(f.http, h.URL, options...))
	}
	return f
}

// reasonOf returns the reason in an error of Connect, and reports whether it states that
// no handler ran.
func reasonOf(t *testing.T, err error) (reason auth0grpc.Reason, beforeHandler bool) {
	t.Helper()
	var e *connect.Error
	if !errors.As(err, &e) {
		return "", false
	}
	s := &spb.Status{Code: int32(e.Code()), Message: e.Message()}
	for _, d := range e.Details() {
		s.Details = append(s.Details, &anypb.Any{TypeUrl: "type.googleapis.com/" + d.Type, Value: d.Value})
	}
	reason, _ = auth0grpc.ReasonFromError(status.FromProto(s).Err())
	return reason, auth0grpc.RefusedBeforeHandler(status.FromProto(s).Err())
}

// open starts a call, sends one message and returns the stream.
func (f *fixture) open(t *testing.T, protocol, procedure, authorization string) (connect.ClientStream, *connect.CallInfo) {
	t.Helper()
	ctx, info := connect.NewClientContext(t.Context())
	if authorization != "" {
		info.RequestHeader().Set("Authorization", authorization)
	}
	stream, err := f.clients[protocol].CallClientStream(ctx, connect.Spec{Procedure: procedure, StreamType: connect.StreamTypeBidi})
	if err != nil {
		t.Fatal(err)
	}
	return stream, info
}

// The verdict and the reason of each token are the same as from Check, in every protocol and for
// every kind of method.
func TestVerdicts(t *testing.T) {
	f := newFixture(t)
	f.duplex = func(_ context.Context, stream connect.ServerStream) error {
		return stream.Send(new(testgrpc.SimpleResponse))
	}
	good := "Bearer " + f.tenant.Token(claims{"scope": "read:orders"})
	for name, test := range map[string]struct {
		authorization string
		procedures    []string
		reason        auth0grpc.Reason
	}{
		"good":     {good, []string{unary, duplex}, ""},
		"none":     {"", []string{unary, duplex, unlisted, unknown}, auth0grpc.ReasonMissingToken},
		"garbage":  {"Bearer a.b.c", []string{unary, duplex, unlisted, unknown}, auth0grpc.ReasonMalformedToken},
		"expired":  {"Bearer " + f.tenant.Token(claims{"exp": time.Now().Add(-time.Hour)}), []string{unary, duplex}, auth0grpc.ReasonTokenExpired},
		"scope":    {"Bearer " + f.tenant.Token(claims{"scope": "other"}), []string{unary, duplex}, auth0grpc.ReasonInsufficientScope},
		"unlisted": {good, []string{unlisted, unknown}, auth0grpc.ReasonMethodNotListed},
	} {
		for _, procedure := range test.procedures {
			for protocol, client := range f.clients {
				t.Run(name+procedure+"/"+protocol, func(t *testing.T) {
					ctx, info := connect.NewClientContext(t.Context())
					if test.authorization != "" {
						info.RequestHeader().Set("Authorization", test.authorization)
					}
					var err error
					if procedure == duplex {
						var stream connect.ClientStream
						if stream, info = f.open(t, protocol, procedure, test.authorization); true {
							_ = stream.CloseSend()
							err = stream.Receive(new(testgrpc.SimpleResponse))
						}
					} else {
						err = client.CallUnary(ctx, connect.Spec{Procedure: procedure}, new(testgrpc.SimpleRequest), new(testgrpc.SimpleResponse))
					}
					reason, before := reasonOf(t, err)
					if reason != test.reason || (err != nil) != (test.reason != "") || before != (test.reason != "") {
						t.Errorf("%v: %q, before the handler: %t, want %q", err, reason, before, test.reason)
					}
					if ran := len(f.ran) > 0; ran != (test.reason == "") {
						t.Errorf("the handler ran: %t", ran)
					}
					for len(f.ran) > 0 {
						<-f.ran
					}
					if challenges := info.ResponseHeader().Values("WWW-Authenticate"); (len(challenges) == 1) != (test.reason != "" && test.reason != auth0grpc.ReasonMethodNotListed) {
						t.Errorf("challenges %q", challenges)
					}
					for _, name := range []string{"Retry-After", "DPoP-Nonce"} {
						if values := info.ResponseHeader().Values(name); len(values) > 0 {
							t.Errorf("%s %q", name, values)
						}
					}
				})
			}
		}
	}
}

// A stream ends on Revoke although its handler waits in Receive, and its client learns
// why.
func TestStreamEndsOnRevoke(t *testing.T) {
	for _, protocol := range []string{"Connect", "gRPC", "gRPC-Web"} {
		t.Run(protocol, func(t *testing.T) {
			f := newFixture(t)
			handlerErr := make(chan error, 2)
			f.duplex = func(ctx context.Context, stream connect.ServerStream) error {
				if err := stream.Receive(new(testgrpc.SimpleRequest)); err != nil {
					return err
				}
				if err := stream.Send(new(testgrpc.SimpleResponse)); err != nil {
					return err
				}
				handlerErr <- stream.Receive(new(testgrpc.SimpleRequest))
				handlerErr <- stream.Send(new(testgrpc.SimpleResponse))
				return nil
			}
			stream, info := f.open(t, protocol, duplex, "Bearer "+f.tenant.Token(claims{"scope": "read:orders", "sub": "auth0|left"}))
			if err := stream.Send(new(testgrpc.SimpleRequest)); err != nil {
				t.Fatal(err)
			}
			if err := stream.Receive(new(testgrpc.SimpleResponse)); err != nil {
				t.Fatal(err)
			}
			if info.ResponseHeader().Get(auth0grpc.StreamTTLHeader) == "" {
				t.Errorf("no TTL in %v", info.ResponseHeader())
			}
			if err := f.guard.Revoke(t.Context(), auth0grpc.Revocation{Issuer: f.tenant.Issuer(), Subject: "auth0|left"}); err != nil {
				t.Fatal(err)
			}
			reason, before := reasonOf(t, stream.Receive(new(testgrpc.SimpleResponse)))
			if reason != auth0grpc.ReasonTokenRevoked || before {
				t.Errorf("ended with %q, before the handler: %t", reason, before)
			}
			for range 2 {
				var refusal *auth0grpc.Refusal
				if err := <-handlerErr; !errors.As(err, &refusal) {
					t.Errorf("the handler got %v", err)
				}
			}
		})
	}
}

// Rules about the message see the decoded message of a unary call.
func TestMessageRules(t *testing.T) {
	f := newFixture(t)
	for owner, want := range map[string]auth0grpc.Reason{"auth0|ada": "", "auth0|bob": auth0grpc.ReasonNotOwner, "": auth0grpc.ReasonNotOwner} {
		for protocol, client := range f.clients {
			ctx, info := connect.NewClientContext(t.Context())
			info.RequestHeader().Set("Authorization", "Bearer "+f.tenant.Token(claims{"sub": "auth0|ada"}))
			request := &testgrpc.SimpleRequest{ResponseStatus: &testgrpc.EchoStatus{Message: owner}}
			err := client.CallUnary(ctx, connect.Spec{Procedure: owned}, request, new(testgrpc.SimpleResponse))
			if reason, _ := reasonOf(t, err); reason != want || (err == nil) != (want == "") {
				t.Errorf("%s, record of %q: %v, want %q", protocol, owner, err, want)
			}
			if ran := len(f.ran) > 0; ran != (want == "") {
				t.Errorf("%s, record of %q: the handler ran: %t", protocol, owner, ran)
			}
			for len(f.ran) > 0 {
				<-f.ran
			}
		}
	}
}

// A handler cannot state that it did not run.
func TestHandlersCannotMark(t *testing.T) {
	f := newFixture(t)
	f.duplex = func(context.Context, connect.ServerStream) error {
		info := &errdetails.ErrorInfo{Domain: auth0grpc.ErrorDomain, Reason: "TOKEN_EXPIRED", Metadata: map[string]string{auth0grpc.BeforeHandlerKey: "true"}}
		marked, err := anypb.New(info)
		if err != nil {
			return err
		}
		return connect.NewError(connect.CodeUnauthenticated, "of another server").WithDetail(&connect.ErrorDetail{Type: string(marked.MessageName()), Value: marked.GetValue()})
	}
	stream, _ := f.open(t, "Connect", duplex, "Bearer "+f.tenant.Token(claims{"scope": "read:orders"}))
	_ = stream.CloseSend()
	err := stream.Receive(new(testgrpc.SimpleResponse))
	if reason, before := reasonOf(t, err); reason != auth0grpc.ReasonTokenExpired || before || errors.Is(err, io.EOF) {
		t.Errorf("%v: %q, before the handler: %t", err, reason, before)
	}
}
