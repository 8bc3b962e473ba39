package auth0grpc_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
)

// openStream opens a stream with a token that expires in an hour, unless more says
// otherwise.
func (f *fixture) openStream(t *testing.T, more claims) *auth0grpc.OpenStream {
	t.Helper()
	token := f.token(with(claims{"exp": today.Add(time.Hour)}, more))
	s, err := f.guard.CheckStream(t.Context(), auth0grpc.Request{FullMethod: unaryCall, Authorization: bearer(token)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// endOf waits for the end of a stream, and returns its reason as the context and Close
// have it.
func endOf(t *testing.T, s *auth0grpc.OpenStream) auth0grpc.Reason {
	t.Helper()
	select {
	case <-s.Context().Done():
	case <-time.After(time.Minute):
		t.Fatal("the stream does not end")
	}
	var cause *auth0grpc.Refusal
	if !errors.As(context.Cause(s.Context()), &cause) || s.Close() != cause || s.Close() != cause {
		t.Fatalf("the cause is %v, Close returns %v", context.Cause(s.Context()), s.Close())
	}
	if cause.HTTPStatus()/100 != 4 || auth0grpc.RefusedBeforeHandler(cause) {
		t.Errorf("%v: status %d, before the handler: %t", cause, cause.HTTPStatus(), auth0grpc.RefusedBeforeHandler(cause))
	}
	return cause.Reason()
}

func TestOpenStreamEndsWithItsToken(t *testing.T) {
	f := newFixture(t, useTimers, recordDecisions)
	s := f.openStream(t, nil)
	if token, ok := auth0grpc.TokenFromContext(s.Context()); !ok || f.guard.Stats().OpenStreams != 1 {
		t.Errorf("token %v, %+v", token, f.guard.Stats())
	}
	if ttl, ok := s.TTL(); !ok || ttl != time.Hour {
		t.Errorf("TTL %s, %t", ttl, ok)
	}
	f.timers.expire(t, time.Hour)
	if reason := endOf(t, s); reason != auth0grpc.ReasonTokenExpired {
		t.Errorf("ended with %s", reason)
	}
	if stats := f.guard.Stats(); stats.OpenStreams != 0 || stats.LingeringStreams != 0 {
		t.Errorf("after Close: %+v", stats)
	}
	var decisions []string
	for _, d := range f.decisions.take() {
		decisions = append(decisions, d.FullMethod+" "+string(d.Outcome)+" "+string(d.Reason))
	}
	if diff := cmp.Diff([]string{unaryCall + " allowed ", unaryCall + " ended TOKEN_EXPIRED"}, decisions); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

func TestOpenStreamEndsByRevocation(t *testing.T) {
	f := newFixture(t, useTimers)
	s, other := f.openStream(t, claims{"sub": "auth0|left"}), f.openStream(t, claims{"sub": "auth0|stays"})
	if err := f.guard.Revoke(t.Context(), auth0grpc.Revocation{Issuer: f.tenant.Issuer(), Subject: "auth0|left"}); err != nil {
		t.Fatal(err)
	}
	if reason := endOf(t, s); reason != auth0grpc.ReasonTokenRevoked {
		t.Errorf("ended with %s", reason)
	}
	if err := other.Context().Err(); err != nil {
		t.Errorf("the other stream: %v", err)
	}
	if reason := other.Close(); reason != nil || other.Context().Err() == nil {
		t.Errorf("closed with %v, context %v", reason, other.Context().Err())
	}
	if stats := f.guard.Stats(); stats.OpenStreams != 0 || stats.LingeringStreams != 0 {
		t.Errorf("after Close: %+v", stats)
	}
}

// A refused stream takes no place; a stream without a token has no end.
func TestCheckStreamWithoutAToken(t *testing.T) {
	f := newFixture(t, checkRows)
	_, err := f.guard.CheckStream(t.Context(), auth0grpc.Request{FullMethod: unaryCall})
	if refusal := refusalOf(t, err); refusal == nil || refusal.Reason() != auth0grpc.ReasonMissingToken {
		t.Errorf("no token: %v", err)
	}
	s, err := f.guard.CheckStream(t.Context(), auth0grpc.Request{FullMethod: listedPublic})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.TTL(); ok || s.Context().Err() != nil || s.Close() != nil || f.guard.Stats().OpenStreams != 0 {
		t.Errorf("public: TTL %t, %v, %+v", ok, s.Context().Err(), f.guard.Stats())
	}
	if err := s.Received(nil, io.EOF); err != io.EOF || s.Received(&testgrpc.Empty{}, nil) != nil || s.Sends() != nil {
		t.Errorf("public: a message is refused, or the end is %v", err)
	}
}

func TestOpenStreamObeysItsPolicy(t *testing.T) {
	f := newFixture(t, useTimers, func(_ *fixture, config *auth0grpc.Config) { config.StreamPolicy = auth0grpc.IgnoreExpiry() })
	s := f.openStream(t, nil)
	if _, ok := s.TTL(); ok {
		t.Error("a stream that ignores expiry has a TTL")
	}
	if all, _ := f.timers.asked(); len(all) > 0 || s.Close() != nil {
		t.Errorf("timers %v", all)
	}
}

// Report-only keeps the stream open, and reports its method.
func TestReportOnlyKeepsAnOpenStream(t *testing.T) {
	f := newFixture(t, useTimers, recordDecisions, func(_ *fixture, config *auth0grpc.Config) { config.ReportOnly = auth0grpc.ReportOnlyTable })
	s := f.openStream(t, nil)
	f.timers.expire(t, time.Hour)
	got := f.decisions.waitFor(t, auth0grpc.OutcomeReported).FullMethod
	if got != unaryCall || s.Context().Err() != nil || s.Close() != nil {
		t.Errorf("reported %q, context %v", got, s.Context().Err())
	}
}

// A handler of a gRPC call may open a stream of another transport, with the context of
// its call. The end of that stream sends nothing to the client of the call.
func TestOpenStreamInsideACall(t *testing.T) {
	const watch = "/orders.v1.Orders/Watch"
	ends := map[auth0grpc.Reason]func(f *fixture) error{
		auth0grpc.ReasonTokenRevoked: func(f *fixture) error {
			f.clock.Advance(time.Minute)
			defer f.clock.Advance(time.Minute) // for the tokens that follow
			return f.guard.Revoke(context.Background(), auth0grpc.Revocation{Issuer: f.tenant.Issuer(), Subject: "auth0|watcher"})
		},
		auth0grpc.ReasonTokenExpired: func(f *fixture) error {
			f.timers.expireNow(time.Hour)
			return nil
		},
	}
	for name, rule := range map[string]auth0grpc.Rule{"public": auth0grpc.Public(), "with a token": auth0grpc.Authenticated()} {
		for want, endStream := range ends {
			var f *fixture
			handle := func(ctx context.Context) error {
				token := f.token(claims{"sub": "auth0|watcher", "iat": f.clock.Now(), "exp": f.clock.Now().Add(time.Hour)})
				s, err := f.guard.CheckStream(ctx, auth0grpc.Request{FullMethod: watch, Authorization: bearer(token)})
				if err != nil {
					return err
				}
				if err := endStream(f); err != nil {
					return err
				}
				eventually(t, "the end is complete", f.guard.StatusesSent)
				if got := endOf(t, s); got != want {
					t.Errorf("the stream inside ended with %s, want %s", got, want)
				}
				return ctx.Err()
			}
			f = newFixture(t, transports("bufconn", "ServeHTTP"), withService(wholeScript{
				script: script{handler: func(stream grpc.ServerStream) error {
					return errors.Join(handle(stream.Context()), stream.SendMsg(&testgrpc.StreamingInputCallResponse{}))
				}},
				unary: handle,
			}), useTimers, func(_ *fixture, config *auth0grpc.Config) {
				config.Methods = map[string]auth0grpc.Rule{allMethods: rule, watch: auth0grpc.Scopes("read:orders")}
			})
			for _, transport := range []string{"bufconn", "ServeHTTP"} {
				for _, shape := range shapes {
					token := f.token(claims{"sub": "auth0|caller", "exp": f.clock.Now().Add(3 * time.Hour)})
					got := f.call(t.Context(), transport, shape, bearer(token)...)
					if challenges := len(got.header.Get("www-authenticate")) + len(got.trailer.Get("www-authenticate")); got.err != nil || challenges > 0 {
						t.Errorf("%s, %s, %s, %s: %v, %d challenges", name, want, transport, shape.name, got.err, challenges)
					}
				}
			}
		}
	}
}

// A wholeScript serves the unary method with a function too.
type wholeScript struct {
	script
	unary func(context.Context) error
}

func (s wholeScript) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, s.unary(ctx)
}

// With rules about the message, each message is checked before the handler has it, and
// nothing is sent before the first.
func TestOpenStreamChecksMessages(t *testing.T) {
	f := newFixture(t, func(_ *fixture, config *auth0grpc.Config) {
		config.Methods[unaryCall] = auth0grpc.Authenticated().Same("response_status.message", auth0grpc.ClaimSubject)
	})
	request := auth0grpc.Request{FullMethod: unaryCall, Authorization: bearer(f.token(claims{"sub": "auth0|ada"}))}
	_, err := f.guard.CheckStream(t.Context(), request)
	if refusal := refusalOf(t, err); refusal == nil || refusal.Reason() != auth0grpc.ReasonRuleMisconfigured {
		t.Errorf("without messages: %v", err)
	}
	request.MessagesFollow = true
	if _, err := f.guard.Check(t.Context(), request); refusalOf(t, err) == nil || refusalOf(t, err).Reason() != auth0grpc.ReasonRuleMisconfigured {
		t.Errorf("Check without the message: %v", err)
	}
	open := func() *auth0grpc.OpenStream {
		s, err := f.guard.CheckStream(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	of := func(owner string) any {
		return &testgrpc.SimpleRequest{ResponseStatus: &testgrpc.EchoStatus{Message: owner}}
	}
	s := open()
	for _, err := range []error{s.Received(of("auth0|ada"), nil), s.Sends(), s.Received(nil, io.EOF)} {
		if err != nil && err != io.EOF {
			t.Errorf("own record: %v", err)
		}
	}
	if reason := s.Close(); reason != nil {
		t.Errorf("own record: %v", reason)
	}
	for name, use := range map[string]func(*auth0grpc.OpenStream) error{
		"other record": func(s *auth0grpc.OpenStream) error { return s.Received(of("auth0|bob"), nil) },
		"later record": func(s *auth0grpc.OpenStream) error {
			return errors.Join(s.Received(of("auth0|ada"), nil), s.Received(of("auth0|bob"), nil))
		},
		"no record":    func(s *auth0grpc.OpenStream) error { return s.Received(nil, io.EOF) },
		"answer first": func(s *auth0grpc.OpenStream) error { return s.Sends() },
	} {
		s := open()
		refusal := refusalOf(t, use(s))
		if refusal == nil || refusal.Reason() != auth0grpc.ReasonNotOwner || endOf(t, s) != auth0grpc.ReasonNotOwner {
			t.Errorf("%s: %v", name, refusal)
		}
	}
}
