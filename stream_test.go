package auth0grpc_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// patient is a service whose stream tells that it is open and then waits for a
// message that never comes, or for the end of its context.
type patient struct {
	testgrpc.UnimplementedTestServiceServer
	open chan struct{}
	end  chan error // how RecvMsg ended
}

func (p patient) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	p.open <- struct{}{}
	_, err := stream.Recv()
	if err == io.EOF {
		return nil
	}
	<-stream.Context().Done()
	p.end <- errors.Join(context.Cause(stream.Context()), stream.Send(&testgrpc.StreamingOutputCallResponse{}))
	return err
}

// A longCall is an open stream with a token of an hour.
type longCall struct {
	guard  *auth0grpc.Interceptor
	clock  *clock
	tenant *auth0grpctest.Tenant
	fire   chan time.Time
	asked  chan time.Duration // what the timer was set to
	p      patient
	stream testgrpc.TestService_FullDuplexCallClient
}

func openLongCall(t *testing.T, change func(*auth0grpc.Config)) *longCall {
	t.Helper()
	c := &longCall{fire: make(chan time.Time), asked: make(chan time.Duration, 8), p: patient{open: make(chan struct{}, 1), end: make(chan error, 1)}}
	c.tenant, c.clock = newTenant(t)
	config := configFor(c.tenant, c.clock)
	config.Logger = slog.New(slog.DiscardHandler)
	if change != nil {
		change(&config)
	}
	c.guard = mustNew(t, config)
	c.guard.SetTimer(func(d time.Duration) (<-chan time.Time, func() bool) {
		c.asked <- d
		return c.fire, func() bool { return true }
	})
	server := grpc.NewServer(c.guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, c.p)
	token := c.tenant.Token(claims{"scope": "read:orders", "exp": today.Add(time.Hour)})
	stream, err := testgrpc.NewTestServiceClient(auth0grpctest.Connect(t, server, token)).FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.stream = stream
	<-c.p.open
	return c
}

// ends asserts that the stream ends with the outcome, for client and handler.
func (c *longCall) ends(t *testing.T, want outcome) {
	t.Helper()
	_, err := c.stream.Recv()
	if reason, _ := auth0grpc.ReasonFromError(err); reason != want.reason {
		t.Errorf("the client has %v, want %s", err, want.reason)
	}
	if err := <-c.p.end; !errors.Is(err, want.kind) {
		t.Errorf("the handler has %v, want %v", err, want.kind)
	}
}

func TestStreamEndsWithItsToken(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*auth0grpc.Config)
		want   time.Duration
	}{
		"by default":    {nil, time.Hour},
		"with skew":     {func(c *auth0grpc.Config) { c.ClockSkew = time.Minute }, time.Hour + time.Minute},
		"after a while": {func(c *auth0grpc.Config) { c.Streams = auth0grpc.EndAfter(time.Minute) }, time.Hour + time.Minute},
		"by its row": {func(c *auth0grpc.Config) {
			c.Streams = auth0grpc.RunOn()
			c.Methods[allMethods] = c.Methods[allMethods].Streams(auth0grpc.EndAtExpiry())
		}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			c := openLongCall(t, test.change)
			if got := <-c.asked; got != test.want {
				t.Errorf("timer set to %v, want %v", got, test.want)
			}
			c.fire <- today // the clock says that it is too early: wait again
			if got := <-c.asked; got != test.want {
				t.Errorf("timer set again to %v, want %v", got, test.want)
			}
			c.clock.Advance(test.want)
			c.fire <- today
			c.ends(t, expired)
		})
	}
}

func TestStreamRunsOn(t *testing.T) {
	c := openLongCall(t, func(c *auth0grpc.Config) { c.Streams = auth0grpc.RunOn() })
	c.clock.Advance(48 * time.Hour)
	if n := c.guard.Stats().OpenStreams; n != 1 {
		t.Errorf("%d open streams, want 1", n)
	}
	c.stream.CloseSend()
	if _, err := c.stream.Recv(); err != io.EOF {
		t.Errorf("Recv = %v, want EOF", err)
	}
	if len(c.asked) != 0 {
		t.Errorf("a timer was set to %v", <-c.asked)
	}
}

// A revocation ends the streams of its tokens and no others, and refuses the
// token from then on; who logs in again is let in.
func TestRevoke(t *testing.T) {
	c := openLongCall(t, nil)
	token := c.tenant.Token(claims{"scope": "read:orders"})
	decideOnce(t, c.guard, unaryCall, passes, token)
	c.clock.Advance(time.Minute)
	if err := c.guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: "auth0|other"}); err != nil {
		t.Fatal(err)
	}
	decideOnce(t, c.guard, unaryCall, passes, token)
	if err := c.guard.Revoke(t.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject}); err != nil {
		t.Fatal(err)
	}
	c.ends(t, invalid("TOKEN_REVOKED", ""))
	revoked := invalid("TOKEN_REVOKED", "the access token has been revoked")
	decideOnce(t, c.guard, unaryCall, revoked, token)
	decideOnce(t, c.guard, unaryCall, passes, c.tenant.Token(claims{"scope": "read:orders"}))
	if err := c.guard.Revoke(t.Context(), auth0grpc.Revocation{}); err == nil {
		t.Error("a revocation of everybody by mistake was accepted")
	}
}

// Replicas hear of each other's revocations, also of those before they followed.
func TestFollowRevocations(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.RevocationFeed = auth0grpc.NewRevocationFeed(0)
	one, two := mustNew(t, config), mustNew(t, config)
	token := tenant.Token(claims{"scope": "read:orders"})
	decideOnce(t, two, unaryCall, passes, token)
	now.Advance(time.Second)
	if err := one.Revoke(t.Context(), auth0grpc.Revocation{ClientID: auth0grpctest.ClientID}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop() // what was published is applied all the same
	if err := two.FollowRevocations(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("FollowRevocations = %v, want context.Canceled", err)
	}
	decideOnce(t, two, unaryCall, invalid("TOKEN_REVOKED", "the access token has been revoked"), token)
	config.RevocationFeed = nil
	if err := mustNew(t, config).FollowRevocations(t.Context()); err == nil {
		t.Error("FollowRevocations without a feed returned nil")
	}
}

func TestBackChannelLogout(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	handler := guard.BackChannelLogout(auth0grpctest.ClientID)
	post := func(token string) int {
		form := strings.NewReader(url.Values{"logout_token": {token}}.Encode())
		request := httptest.NewRequest(http.MethodPost, "/logout", form)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return recorder.Code
	}
	access := tenant.Token(claims{"scope": "read:orders"})
	good := tenant.LogoutToken(nil)
	tenant.SetDown(true)
	if got := post(good); got != http.StatusServiceUnavailable {
		t.Errorf("keys down: %d, want 503", got)
	}
	tenant.SetDown(false)
	if err := guard.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"none": "", "garbage": "a.b.c", "access token": access, "ID token": tenant.IDToken(nil), "oversize": strings.Repeat("a", 20<<10),
		"other client": tenant.LogoutToken(claims{"aud": "leak"}), "other issuer": tenant.LogoutToken(claims{"iss": "https://leak.example.com/"}),
		"no subject": tenant.LogoutToken(claims{"sub": nil}), "expired": tenant.LogoutToken(claims{"exp": today.Add(-time.Hour)}),
		"none alg": tenant.Sign(claims{"alg": "none"}, claims{}) + "AA", "bad signature": good[:len(good)-2],
		"from the future": tenant.LogoutToken(claims{"iat": today.Add(time.Hour), "exp": today.Add(2 * time.Hour)}),
		"unknown kid":     tenant.Sign(claims{"kid": "leak"}, claims{"iss": tenant.Issuer(), "aud": auth0grpctest.ClientID}),
	} {
		if got := post(token); got != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", name, got)
		}
	}
	decideOnce(t, guard, unaryCall, passes, access)
	if got := post(good); got != http.StatusOK {
		t.Errorf("logout: %d, want 200", got)
	}
	decideOnce(t, guard, unaryCall, invalid("TOKEN_REVOKED", "the access token has been revoked"), access)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/logout", nil))
	if recorder.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d, want 405", recorder.Code)
	}
}

// A panic of a stream's handler reaches the interceptors outside with its stack.
func TestStreamPanic(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	cause := errors.New("broken")
	seen := make(chan any, 1)
	outer := func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
		defer func() {
			seen <- recover()
			err = cause
		}()
		return handler(srv, stream)
	}
	broken := func(any, grpc.ServerStream, *grpc.StreamServerInfo, grpc.StreamHandler) error { panic(cause) }
	options := append([]grpc.ServerOption{grpc.ChainStreamInterceptor(outer)}, guard.ServerOptions()...)
	client := connect(t, tenant.Token(claims{"scope": "read:orders"}), append(options, grpc.ChainStreamInterceptor(broken))...)
	stream, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("Recv = nil")
	}
	p, ok := (<-seen).(*auth0grpc.StreamPanic)
	if !ok || !errors.Is(p, cause) || !strings.Contains(p.Error(), "stream_test.go") {
		t.Errorf("the interceptor outside recovers %v", p)
	}
}

func TestStreamPolicyString(t *testing.T) {
	for want, policy := range map[string]auth0grpc.StreamPolicy{
		"streams end at expiry": auth0grpc.EndAtExpiry(), "streams run on": auth0grpc.RunOn(),
		"streams end 1m0s after expiry": auth0grpc.EndAfter(time.Minute),
	} {
		if policy.String() != want {
			t.Errorf("String = %q, want %q", policy, want)
		}
	}
	config := sound()
	config.Streams, config.MaxTokenLife, config.CacheSize = auth0grpc.EndAfter(0), -1, -5
	if faults := faultsOf(t, config); len(faults) != 3 {
		t.Errorf("faults %q, want three", faults)
	}
}
