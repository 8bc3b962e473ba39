package auth0grpcclient_test

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
)

func peerCertificate(ctx context.Context) *x509.Certificate {
	p, _ := peer.FromContext(ctx)
	if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.PeerCertificates) > 0 {
		return info.State.PeerCertificates[0]
	}
	return nil
}

// refuseFirst refuses the first token that it sees, and only that one.
func refuseFirst(reason string) func(context.Context, metadata.MD, string) error {
	var mu sync.Mutex
	var first string
	return func(_ context.Context, md metadata.MD, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		token := md.Get("authorization")[0]
		if first == "" {
			first = token
		}
		if token == first {
			return refuse(reason)
		}
		return nil
	}
}

func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	always := func(err error) func(context.Context, metadata.MD, string) error {
		return func(context.Context, metadata.MD, string) error { return err }
	}
	tests := []struct {
		name         string
		decide       func() func(context.Context, metadata.MD, string) error
		wantCode     codes.Code
		wantCalls    int
		wantRequests int64
	}{
		{name: "expired", decide: func() func(context.Context, metadata.MD, string) error { return refuseFirst("TOKEN_EXPIRED") }, wantCalls: 2, wantRequests: 2},
		{name: "revoked", decide: func() func(context.Context, metadata.MD, string) error { return refuseFirst("TOKEN_REVOKED") }, wantCalls: 2, wantRequests: 2},
		{name: "expired always", decide: func() func(context.Context, metadata.MD, string) error { return always(refuse("TOKEN_EXPIRED")) }, wantCode: codes.Unauthenticated, wantCalls: 2, wantRequests: 2},
		{name: "another reason", decide: func() func(context.Context, metadata.MD, string) error { return always(refuse("BAD_SIGNATURE")) }, wantCode: codes.Unauthenticated, wantCalls: 1, wantRequests: 1},
		{name: "expired, a handler ran", decide: func() func(context.Context, metadata.MD, string) error { return always(end("TOKEN_EXPIRED")) }, wantCode: codes.Unauthenticated, wantCalls: 1, wantRequests: 1},
		{name: "revoked, a handler ran", decide: func() func(context.Context, metadata.MD, string) error { return always(end("TOKEN_REVOKED")) }, wantCode: codes.Unauthenticated, wantCalls: 1, wantRequests: 1},
		{name: "a mark that is not true", decide: func() func(context.Context, metadata.MD, string) error {
			return always(refuseWith(&errdetails.ErrorInfo{Reason: "TOKEN_REVOKED", Domain: "auth0grpc", Metadata: map[string]string{"beforeHandler": "false"}}))
		}, wantCode: codes.Unauthenticated, wantCalls: 1, wantRequests: 1},
		{name: "a mark of another domain", decide: func() func(context.Context, metadata.MD, string) error {
			return always(refuseWith(&errdetails.ErrorInfo{Reason: "TOKEN_REVOKED", Domain: "other", Metadata: map[string]string{"beforeHandler": "true"}}))
		}, wantCode: codes.Unauthenticated, wantCalls: 1, wantRequests: 1},
		{name: "no reason", decide: func() func(context.Context, metadata.MD, string) error {
			return always(status.Error(codes.Unauthenticated, "no"))
		}, wantCode: codes.Unauthenticated, wantCalls: 1, wantRequests: 1},
		{name: "another code", decide: func() func(context.Context, metadata.MD, string) error {
			return always(status.Error(codes.PermissionDenied, "no"))
		}, wantCode: codes.PermissionDenied, wantCalls: 1, wantRequests: 1},
		{name: "a nonce without DPoP", decide: func() func(context.Context, metadata.MD, string) error { return always(refuse("USE_DPOP_NONCE")) }, wantCode: codes.Unauthenticated, wantCalls: 1, wantRequests: 1},
	}
	for _, test := range tests {
		for shape, call := range shapes {
			t.Run(test.name+"/"+shape, func(t *testing.T) {
				t.Parallel()
				tenant, requests := newTenant(t)
				distinctTokens(tenant.SetNow)
				g := &gate{decide: test.decide()}
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				got, err := call(ctx, connect(t, g, newCredentials(t, configFor(tenant))))
				wantCode(t, err, test.wantCode)
				if err == nil && got != "a" {
					t.Errorf("got %q, want a", got)
				}
				if calls := g.values("authorization"); len(calls) != test.wantCalls || requests.Load() != test.wantRequests {
					t.Errorf("%d calls and %d token requests, want %d and %d", len(calls), requests.Load(), test.wantCalls, test.wantRequests)
				}
			})
		}
	}
}

// distinctTokens has each token issued a second after the one before: tokens
// with the same claims are the same text.
func distinctTokens(setNow func(func() time.Time)) {
	var n atomic.Int64
	start := time.Now()
	setNow(func() time.Time { return start.Add(-time.Duration(n.Add(1)) * time.Second) })
}

// TestRenewalIsRationed shows that a server which refuses every token costs two
// tokens and not one for each call.
func TestRenewalIsRationed(t *testing.T) {
	t.Parallel()
	tenant, requests := newTenant(t)
	distinctTokens(tenant.SetNow)
	g := &gate{decide: func(context.Context, metadata.MD, string) error { return refuse("TOKEN_EXPIRED") }}
	var now atomic.Int64
	start := time.Now()
	config := configFor(tenant)
	config.Now = func() time.Time { return start.Add(time.Duration(now.Load())) }
	client := connect(t, g, newCredentials(t, config))
	for range 5 {
		_, err := shapes["unary"](t.Context(), client)
		wantCode(t, err, codes.Unauthenticated)
	}
	if requests.Load() != 2 {
		t.Errorf("%d token requests, want 2", requests.Load())
	}
	now.Add(int64(10 * time.Second))
	_, _ = shapes["unary"](t.Context(), client)
	if requests.Load() != 3 {
		t.Errorf("%d token requests after the pause, want 3", requests.Load())
	}
}

// TestRefusedTogether shows that many calls with one refused token bring one new
// token, which serves them all.
func TestRefusedTogether(t *testing.T) {
	t.Parallel()
	tenant, requests := newTenant(t)
	distinctTokens(tenant.SetNow)
	client := connect(t, &gate{decide: refuseFirst("TOKEN_REVOKED")}, newCredentials(t, configFor(tenant)))
	var group sync.WaitGroup
	for range 8 {
		for shape, call := range shapes {
			group.Go(func() {
				if got, err := call(t.Context(), client); got != "a" || err != nil {
					t.Errorf("%s: %q, %v", shape, got, err)
				}
			})
		}
	}
	group.Wait()
	if requests.Load() != 2 {
		t.Errorf("%d token requests, want 2", requests.Load())
	}
}

// TestRenewalFails shows that the caller sees the server's refusal, and not the failure
// of the token endpoint.
func TestRenewalFails(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	g := &gate{}
	c := newCredentials(t, configFor(tenant))
	client := connect(t, g, c)
	if _, err := shapes["unary"](t.Context(), client); err != nil {
		t.Fatal(err)
	}
	tenant.Intercept(func(http.Handler) http.Handler { return http.NotFoundHandler() })
	g.mu.Lock()
	g.decide = refuseFirst("TOKEN_REVOKED")
	g.mu.Unlock()
	for shape, call := range shapes {
		_, err := call(t.Context(), client)
		if reason, _ := auth0grpc.ReasonFromError(err); reason != "TOKEN_REVOKED" {
			t.Errorf("%s: %v", shape, err)
		}
	}
}

// TestWithoutCredentials shows that the interceptors leave calls alone that went
// out with something else.
func TestWithoutCredentials(t *testing.T) {
	t.Parallel()
	tenant, requests := newTenant(t)
	config := configFor(tenant)
	config.InsecureForwardAuthorization = true
	g := &gate{decide: func(context.Context, metadata.MD, string) error { return refuse("TOKEN_EXPIRED") }}
	client := connect(t, g, newCredentials(t, config))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer x")
	for _, call := range shapes {
		_, err := call(ctx, client)
		wantCode(t, err, codes.Unauthenticated)
	}
	if requests.Load() != 0 || len(g.values("authorization")) != len(shapes) {
		t.Errorf("%d token requests and %d calls, want 0 and %d", requests.Load(), len(g.values("authorization")), len(shapes))
	}
}

// TestStreamLimit is the documented limit: a stream on which two messages were
// sent is not opened again, and the next one has the new token.
func TestStreamLimit(t *testing.T) {
	t.Parallel()
	tenant, requests := newTenant(t)
	distinctTokens(tenant.SetNow)
	g := &gate{decide: refuseFirst("TOKEN_EXPIRED")}
	client := connect(t, g, newCredentials(t, configFor(tenant)))
	s, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		err := s.Send(&testgrpc.StreamingOutputCallRequest{Payload: payload("a")})
		if err != nil && (n == 0 || err != io.EOF) {
			t.Fatalf("message %d: %v", n, err)
		}
	}
	_, err = s.Recv()
	if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonTokenExpired {
		t.Errorf("%v, want the refusal", err)
	}
	if got, err := shapes["bidi stream"](t.Context(), client); got != "a" || err != nil {
		t.Errorf("the next stream: %q, %v", got, err)
	}
	if n := len(g.values("authorization")); n != 2 || requests.Load() != 2 {
		t.Errorf("%d streams and %d token requests, want 2 and 2", n, requests.Load())
	}
}

// TestStreamBeforeSending covers streams that receive, or close, first.
func TestStreamBeforeSending(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	distinctTokens(tenant.SetNow)
	client := connect(t, &gate{decide: refuseFirst("TOKEN_EXPIRED")}, newCredentials(t, configFor(tenant)))
	s, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan error)
	go func() {
		r, err := s.Recv()
		if err == nil && string(r.GetPayload().GetBody()) != "a" {
			t.Errorf("got %v", r)
		}
		received <- err
	}()
	if err := s.Send(&testgrpc.StreamingOutputCallRequest{Payload: payload("a")}); err != nil {
		t.Error(err)
	}
	if err := <-received; err != nil {
		t.Error(err)
	}
	if _, err := s.Header(); err != nil {
		t.Error(err)
	}
	for range 3 { // the stream is let in: nothing is kept, nothing is limited
		if err := s.Send(&testgrpc.StreamingOutputCallRequest{Payload: payload("b")}); err != nil {
			t.Error(err)
		}
		if r, err := s.Recv(); err != nil || string(r.GetPayload().GetBody()) != "b" {
			t.Errorf("%v, %v", r, err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("%v, want EOF", err)
	}

	client = connect(t, &gate{decide: refuseFirst("TOKEN_EXPIRED")}, newCredentials(t, configFor(tenant)))
	if s, err = client.FullDuplexCall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("%v, want EOF", err)
	}
}

// TestMidStreamRefusal shows that a stream that was let in is never opened again:
// its messages were processed.
func TestMidStreamRefusal(t *testing.T) {
	t.Parallel()
	tenant, requests := newTenant(t)
	g := &gate{}
	client := connect(t, g, newCredentials(t, configFor(tenant)))
	s, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&testgrpc.StreamingOutputCallRequest{Payload: payload("end")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Recv()
	if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonTokenExpired {
		t.Errorf("%v, want the end that the server gave", err)
	}
	if n := len(g.values("authorization")); n != 1 || requests.Load() != 1 {
		t.Errorf("%d streams and %d token requests, want 1 and 1", n, requests.Load())
	}
}
