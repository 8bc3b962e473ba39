package auth0grpc_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
)

// A lateStream delivers a message after the end of the stream.
type lateStream struct {
	serverStream
	receiving, message chan struct{}
}

func (l *lateStream) RecvMsg(any) error {
	close(l.receiving)
	<-l.message
	return nil
}

// A handler that was blocked in RecvMsg when its stream ended gets no message.
func TestNoMessageAfterTheEnd(t *testing.T) {
	for name, rule := range map[string]auth0grpc.Rule{
		"plain":                auth0grpc.Scopes("read:orders"),
		"rules about messages": auth0grpc.Scopes("read:orders").Same("org_id", auth0grpc.ClaimOrganization),
	} {
		t.Run(name, func(t *testing.T) { testNoMessageAfterTheEnd(t, rule) })
	}
}

func testNoMessageAfterTheEnd(t *testing.T, rule auth0grpc.Rule) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Methods = map[string]auth0grpc.Rule{allMethods: rule}
	guard := mustNew(t, config)
	md := metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
	ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), md), &transportStream{method: streamShapes[2].name})
	under := &lateStream{receiving: make(chan struct{}), message: make(chan struct{})}
	under.ctx = ctx
	var received sync.WaitGroup
	received.Add(1)
	go func() {
		<-under.receiving
		_ = guard.Revoke(context.Background(), auth0grpc.Revocation{IssuedBefore: today.Add(1e9)})
		close(under.message)
	}()
	err := guard.StreamServerInterceptor()(nil, under, &grpc.StreamServerInfo{FullMethod: streamShapes[2].name}, func(_ any, stream grpc.ServerStream) error {
		defer received.Done()
		err := stream.RecvMsg(nil)
		if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonTokenRevoked {
			t.Errorf("RecvMsg = %v, want the reason of the end", err)
		}
		return err
	})
	received.Wait()
	if !errors.Is(err, auth0grpc.ErrInvalidToken) {
		t.Errorf("the stream ended with %v", err)
	}
}

// A sendingStream ends during each operation.
type sendingStream struct {
	serverStream
	end func()
	err error
}

func (s *sendingStream) SendMsg(any) error            { s.end(); return s.err }
func (s *sendingStream) SendHeader(metadata.MD) error { s.end(); return s.err }

// If a stream ends while its handler sends, the handler gets the reason in place of an
// error. A message that was sent is not reported as an error.
func TestEndDuringASend(t *testing.T) {
	tenant, now := newTenant(t)
	for _, sendErr := range []error{nil, errors.New("of the transport")} {
		for name, send := range map[string]func(grpc.ServerStream) error{
			"message": func(s grpc.ServerStream) error { return s.SendMsg(nil) },
			"header":  func(s grpc.ServerStream) error { return s.SendHeader(nil) },
		} {
			guard := mustNew(t, configFor(tenant, now))
			md := metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
			ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), md), &transportStream{method: streamShapes[2].name})
			under := &sendingStream{serverStream{ctx: ctx}, func() {
				_ = guard.Revoke(context.Background(), auth0grpc.Revocation{IssuedBefore: today.Add(1e9)})
			}, sendErr}
			sent := make(chan error, 1)
			_ = guard.StreamServerInterceptor()(nil, under, &grpc.StreamServerInfo{FullMethod: streamShapes[2].name}, func(_ any, stream grpc.ServerStream) error {
				sent <- send(stream)
				return nil
			})
			err := <-sent
			if reason, _ := auth0grpc.ReasonFromError(err); (reason == auth0grpc.ReasonTokenRevoked) != (sendErr != nil) || (err == nil) != (sendErr == nil) {
				t.Errorf("%s that ends with %v: the handler got %v", name, sendErr, err)
			}
		}
	}
}

// The context of a stream ends when its handler returns, on any transport: the goroutines
// of the handler that wait for it end too.
func TestContextEndsWithTheHandler(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	md := metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
	ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), md), &transportStream{method: streamShapes[2].name})
	var inside context.Context
	err := guard.StreamServerInterceptor()(nil, serverStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: streamShapes[2].name}, func(_ any, stream grpc.ServerStream) error {
		inside = stream.Context()
		return inside.Err()
	})
	if err != nil || inside.Err() == nil {
		t.Errorf("the handler returned %v, and its context has %v", err, inside.Err())
	}
}

// The functions of package grpc do not bypass the gate.
func TestContextIsBehindTheGate(t *testing.T) {
	for name, transport := range map[string]grpc.ServerTransportStream{
		"takes a status":   &finalStream{release: make(chan struct{})},
		"takes no status":  &transportStream{method: streamShapes[2].name},
		"no transport":     nil,
		"counts its calls": &countedTransport{},
	} {
		t.Run(name, func(t *testing.T) {
			tenant, now := newTenant(t)
			guard := mustNew(t, configFor(tenant, now))
			md := metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
			ctx := metadata.NewIncomingContext(t.Context(), md)
			if transport != nil {
				ctx = grpc.NewContextWithServerTransportStream(ctx, transport)
			}
			done := make(chan struct{})
			_ = guard.StreamServerInterceptor()(nil, serverStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: streamShapes[2].name}, func(_ any, stream grpc.ServerStream) error {
				defer close(done)
				ctx := stream.Context()
				found := grpc.ServerTransportStreamFromContext(ctx)
				if transport == nil {
					if found != nil {
						t.Errorf("found %T", found)
					}
					return nil
				}
				all := func() []error {
					return []error{
						grpc.SetHeader(ctx, metadata.Pairs("a", "b")), grpc.SetTrailer(ctx, metadata.Pairs("a", "b")),
						grpc.SendHeader(ctx, metadata.Pairs("a", "b")), found.SetHeader(metadata.Pairs("a", "b")),
					}
				}
				if err := errors.Join(all()...); err != nil {
					t.Errorf("before the end: %v", err)
				}
				_ = guard.Revoke(context.Background(), auth0grpc.Revocation{IssuedBefore: today.Add(1e9)})
				<-ctx.Done()
				for _, err := range all() {
					if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonTokenRevoked {
						t.Errorf("after the end: %v", err)
					}
				}
				return nil
			})
			<-done
			if c, ok := transport.(*countedTransport); ok && c.fromHandler.Load() != 4 {
				t.Errorf("%d calls reached the transport, want the 4 before the end", c.fromHandler.Load())
			}
		})
	}
}

// A countedTransport counts calls except the library's own, which set the challenge and
// the time to live.
type countedTransport struct {
	transportStream
	fromHandler atomic.Int64
}

func (c *countedTransport) count(md metadata.MD) {
	if md.Get("a") != nil {
		c.fromHandler.Add(1)
	}
}

func (c *countedTransport) SetHeader(md metadata.MD) error  { c.count(md); return nil }
func (c *countedTransport) SendHeader(md metadata.MD) error { c.count(md); return nil }
func (c *countedTransport) SetTrailer(md metadata.MD) error { c.count(md); return nil }

// A stream that has ended is counted until its handler returns, for every kind of
// delay.
func TestLingeringStreams(t *testing.T) {
	big := &testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: make([]byte, 1<<20)}}
	tests := []struct {
		name       string
		transports []string
		handler    func(stream grpc.ServerStream, release <-chan struct{})
	}{
		{"ignores its context", []string{"bufconn", "tcp", "ServeHTTP"}, func(_ grpc.ServerStream, release <-chan struct{}) { <-release }},
		{"client reads nothing", []string{"ServeHTTP"}, func(stream grpc.ServerStream, release <-chan struct{}) {
			for stream.SendMsg(big) == nil {
			}
			<-release
		}},
	}
	for _, test := range tests {
		for _, transport := range test.transports {
			t.Run(test.name+"/"+transport, func(t *testing.T) {
				started, release := make(chan struct{}), make(chan struct{})
				s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
					close(started)
					test.handler(stream, release)
					return nil
				}))
				ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "authorization", bearer(s.token(nil))[0]))
				defer cancel()
				if _, err := s.conns[transport].NewStream(ctx, &streamShapes[2].desc, streamShapes[2].name); err != nil {
					t.Fatal(err)
				}
				<-started
				if n := s.guard.Stats().LingeringStreams; n != 0 {
					t.Errorf("%d lingering before the end", n)
				}
				s.revokeAll(t)
				if got := s.guard.Stats(); got.OpenStreams != 0 || got.LingeringStreams != 1 {
					t.Errorf("%d open, %d lingering, want 0 and 1", got.OpenStreams, got.LingeringStreams)
				}
				close(release)
				cancel()
				eventually(t, "the handler returns", func() bool { return s.guard.Stats().LingeringStreams == 0 })
			})
		}
	}
}

// A stream that its handler ends was never lingering.
func TestReturnedStreamsDoNotLinger(t *testing.T) {
	for _, transport := range []string{"bufconn", "tcp", "ServeHTTP"} {
		s := newFixture(t, handleStreams(func(grpc.ServerStream) error { return nil }))
		for range 2 {
			if got := finish(s.open(t, transport, streamShapes[2], bearer(s.token(nil))...), transport); got.err != nil {
				t.Fatal(got.err)
			}
		}
		eventually(t, "the streams are closed", func() bool { return s.guard.Stats().OpenStreams == 0 })
		if n := s.guard.Stats().LingeringStreams; n != 0 {
			t.Errorf("%s: %d lingering streams, want 0", transport, n)
		}
	}
}
