package auth0grpc_test

import (
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
)

func panicInHandler(value any) { panic(value) }

// With gRPC's transports a panic arrives as it is, and with another as a
// StreamPanic; both have the stack of the handler.
func TestPanicReachesOuterRecovery(t *testing.T) {
	boom := errors.New("boom")
	for _, value := range []any{"boom", boom} {
		type panicked struct {
			value any
			stack string
		}
		var caught atomic.Value
		outer := recovery.StreamServerInterceptor(recovery.WithRecoveryHandler(func(p any) error {
			caught.Store(panicked{p, string(debug.Stack())})
			return status.Error(codes.Internal, "recovered")
		}))
		s := newFixture(t, handleStreams(func(grpc.ServerStream) error { panicInHandler(value); return nil }), serverOptions(grpc.ChainStreamInterceptor(outer)))
		for transport := range s.conns {
			got := finish(s.open(t, transport, streamShapes[2], bearer(s.token(nil))...), transport)
			if status.Code(got.err) != codes.Internal || status.Convert(got.err).Message() != "recovered" {
				t.Fatalf("%s: %v", transport, got.err)
			}
			if p := caught.Load().(panicked); p.value != value || !strings.Contains(p.stack, "panicInHandler") {
				t.Errorf("%s: recovered %#v from\n%s", transport, p.value, p.stack)
			}
		}
		eventually(t, "the streams are forgotten", func() bool { return s.guard.Stats().OpenStreams == 0 })
		want := strings.Repeat("allowed, ended, ", len(s.conns))
		if got := strings.Join(outcomes(s.decisions.told(t, 2*len(s.conns))), ", ") + ", "; got != want {
			t.Errorf("decisions: %s", got)
		}

		func() {
			defer func() {
				p, ok := recover().(*auth0grpc.StreamPanic)
				if !ok || p.Value != value || !strings.Contains(string(p.Stack), "panicInHandler") {
					t.Fatalf("recovered %#v, want a StreamPanic with value and stack of the handler", p)
				}
				if !strings.HasPrefix(p.Error(), "boom\n\n") || errors.Is(p, boom) != (value == any(boom)) {
					t.Errorf("Error() = %.40q, errors.Is = %t", p.Error(), errors.Is(p, boom))
				}
			}()
			_ = s.onAnotherTransport(t, func(grpc.ServerStream) error { panicInHandler(value); return nil })
		}()
	}
}

// onAnotherTransport runs a handler behind the interceptor where there is no
// stream of gRPC's.
func (f *fixture) onAnotherTransport(tb testing.TB, handler func(grpc.ServerStream) error) error {
	md := metadata.Pairs("authorization", "Bearer "+f.token(claims{"exp": today.Add(time.Hour)}))
	ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(tb.Context(), md), &transportStream{method: streamShapes[2].name})
	return f.guard.StreamServerInterceptor()(nil, serverStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: streamShapes[2].name}, func(_ any, stream grpc.ServerStream) error {
		return handler(stream)
	})
}

// A handler may return the error that another interceptor made of a panic.
func TestReturnedStreamPanicIsAnError(t *testing.T) {
	s := newFixture(t, handleStreams(func(grpc.ServerStream) error { return &auth0grpc.StreamPanic{Value: "boom"} }))
	got := finish(s.open(t, "tcp", streamShapes[2], bearer(s.token(nil))...), "tcp")
	if status.Code(got.err) != codes.Unknown {
		t.Errorf("%v", got.err)
	}
}

func TestPanicAfterTheEnd(t *testing.T) {
	var log sink
	handler := func(stream grpc.ServerStream) error {
		<-stream.Context().Done()
		panicInHandler("boom")
		return nil
	}
	s := newFixture(t, handleStreams(handler), func(_ *fixture, c *auth0grpc.Config) { c.Logger = log.logger() })
	stream := s.open(t, "tcp", streamShapes[2], bearer(s.token(claims{"exp": today.Add(time.Minute)}))...)
	s.timers.expire(t, time.Minute)
	if reason, _ := auth0grpc.ReasonFromError(finish(stream, "tcp").err); reason != auth0grpc.ReasonTokenExpired {
		t.Errorf("reason %q", reason)
	}
	check := func() {
		t.Helper()
		if text := log.wait(t); !strings.Contains(text, "panicked") || !strings.Contains(text, "panicInHandler") {
			t.Errorf("log: %s", text)
		}
	}
	check()
	go s.timers.expire(t, time.Hour)
	if reason, _ := auth0grpc.ReasonFromError(s.onAnotherTransport(t, handler)); reason != auth0grpc.ReasonTokenExpired {
		t.Errorf("on another transport: reason %q", reason)
	}
	check()
	want := []string{"allowed", "ended TOKEN_EXPIRED", "allowed", "ended TOKEN_EXPIRED"}
	if diff := cmp.Diff(want, outcomes(s.decisions.told(t, 4))); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}
}

// In gRPC alone a handler that calls runtime.Goexit leaves its client waiting.
func TestGoexitInHandler(t *testing.T) {
	handler := func(grpc.ServerStream) error { runtime.Goexit(); return nil }
	s := newFixture(t, handleStreams(handler))
	for transport := range s.conns {
		got := finish(s.open(t, transport, streamShapes[2], bearer(s.token(nil))...), transport)
		if status.Code(got.err) != codes.Internal {
			t.Errorf("%s: %v", transport, got.err)
		}
	}
	if err := s.onAnotherTransport(t, handler); status.Code(err) != codes.Internal {
		t.Errorf("on another transport: %v", err)
	}
	eventually(t, "the streams are forgotten", func() bool { return s.guard.Stats().OpenStreams == 0 })
}
