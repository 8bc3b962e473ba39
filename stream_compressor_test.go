package auth0grpc_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// revokeAll revokes every token so far.
func (f *fixture) revokeAll(tb testing.TB) {
	tb.Helper()
	f.clock.Advance(time.Minute)
	if err := f.guard.Revoke(tb.Context(), auth0grpc.Revocation{Subject: auth0grpctest.Subject}); err != nil {
		tb.Error(err)
	}
	f.clock.Advance(time.Minute) // for the tokens that follow
}

// A handler sets its compressor while its stream is ended. Under -race.
func TestCompressorDuringTheEnd(t *testing.T) {
	tests := []struct {
		name      string
		transport string
		compress  string
		handler   func(stream grpc.ServerStream, compress func())
	}{
		{"computing", "tcp", gzip.Name, func(_ grpc.ServerStream, compress func()) { compress() }},
		{"computing", "ServeHTTP", "identity", func(_ grpc.ServerStream, compress func()) { compress() }},
		{"receiving on another goroutine", "tcp", gzip.Name, func(stream grpc.ServerStream, compress func()) {
			var receiver sync.WaitGroup
			receiver.Go(func() {
				for stream.RecvMsg(&testgrpc.StreamingOutputCallRequest{}) == nil {
				}
			})
			compress()
			_ = stream.SendMsg(&testgrpc.StreamingOutputCallResponse{})
			receiver.Wait()
		}},
		{"on two goroutines", "tcp", gzip.Name, func(stream grpc.ServerStream, compress func()) {
			compress()
			var other sync.WaitGroup
			other.Go(compress)
			other.Wait()
			_ = stream.RecvMsg(&testgrpc.StreamingOutputCallRequest{})
			_ = stream.SendHeader(nil)
		}},
	}
	for _, test := range tests {
		t.Run(test.name+"/"+test.transport, func(t *testing.T) {
			started := make(chan struct{}, 1)
			s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
				once := sync.OnceFunc(func() { started <- struct{}{} })
				test.handler(stream, func() {
					for range 500 {
						once()
						_ = grpc.SetSendCompressor(stream.Context(), test.compress)
					}
				})
				return nil
			}))
			for n := range 20 {
				token := s.token(claims{"jti": fmt.Sprint(n), "iat": s.clock.Now(), "exp": s.clock.Now().Add(time.Hour)})
				stream := s.open(t, test.transport, streamShapes[2], bearer(token)...)
				<-started
				s.revokeAll(t)
				got := finish(stream, test.transport)
				if reason, _ := auth0grpc.ReasonFromError(got.err); got.err != nil && reason != auth0grpc.ReasonTokenRevoked {
					t.Fatal(got.err)
				}
			}
			eventually(t, "no handler is left", func() bool { return s.guard.Stats().LingeringStreams == 0 })
		})
	}
}

// gRPC's functions work with the context of a handler as without this package.
func TestHandlerContextWorksWithGRPC(t *testing.T) {
	for _, transport := range []string{"bufconn", "tcp"} {
		s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
			ctx := stream.Context()
			if got, ok := grpc.Method(ctx); !ok || got != streamShapes[2].name {
				t.Errorf("Method = %q, %t", got, ok)
			}
			if got, err := grpc.ClientSupportedCompressors(ctx); err != nil || len(got) == 0 || got[0] != gzip.Name {
				t.Errorf("ClientSupportedCompressors = %v, %v", got, err)
			}
			if err := grpc.SetSendCompressor(ctx, gzip.Name); err != nil {
				t.Errorf("SetSendCompressor = %v", err)
			}
			if err := grpc.SetHeader(ctx, metadata.Pairs("x-a", "1")); err != nil {
				t.Errorf("SetHeader = %v", err)
			}
			if err := grpc.SetTrailer(ctx, metadata.Pairs("x-b", "2")); err != nil {
				t.Errorf("SetTrailer = %v", err)
			}
			if err := grpc.SendHeader(ctx, metadata.Pairs("x-c", "3")); err != nil {
				t.Errorf("SendHeader = %v", err)
			}
			if err := grpc.SetSendCompressor(ctx, "identity"); err == nil {
				t.Error("SetSendCompressor after the header succeeded")
			}
			return stream.SendMsg(&testgrpc.StreamingOutputCallResponse{})
		}))
		got := finish(s.open(t, transport, streamShapes[2], bearer(s.token(nil))...), transport)
		if got.err != nil {
			t.Error(got.err)
		}
		for key, md := range map[string]metadata.MD{"x-a": got.header, "x-b": got.trailer, "x-c": got.header} {
			if len(md.Get(key)) != 1 {
				t.Errorf("%s: %s is missing", transport, key)
			}
		}
	}
}

// The end of a stream wakes a handler that has set a compressor and is blocked.
func TestEndAfterCompressor(t *testing.T) {
	tests := []struct {
		name    string
		handler func(stream grpc.ServerStream) error
	}{
		{"in RecvMsg", func(stream grpc.ServerStream) error {
			return stream.RecvMsg(&testgrpc.StreamingOutputCallRequest{})
		}},
		{"in RecvMsg, computing before", func(stream grpc.ServerStream) error {
			<-stream.Context().Done()
			return stream.RecvMsg(&testgrpc.StreamingOutputCallRequest{})
		}},
		{"in SendMsg, computing before", func(stream grpc.ServerStream) error {
			<-stream.Context().Done()
			return stream.SendMsg(&testgrpc.StreamingOutputCallResponse{})
		}},
		{"in its context", func(stream grpc.ServerStream) error {
			<-stream.Context().Done()
			return nil
		}},
	}
	for _, test := range tests {
		for _, transport := range []string{"tcp", "bufconn", "ServeHTTP"} {
			t.Run(test.name+"/"+transport, func(t *testing.T) {
				started := make(chan struct{})
				s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
					_ = grpc.SetSendCompressor(stream.Context(), "identity")
					close(started)
					return test.handler(stream)
				}))
				stream := s.open(t, transport, streamShapes[2], bearer(s.token(nil))...)
				<-started
				s.revokeAll(t)
				got := finish(stream, transport)
				if reason, _ := auth0grpc.ReasonFromError(got.err); reason != auth0grpc.ReasonTokenRevoked || status.Code(got.err) == 0 {
					t.Errorf("ended with %v", got.err)
				}
			})
		}
	}
}

// A status waits for a handler that may still be setting its compressor, and the
// handler's next message sends it.
func TestStatusWaitsForTheCompressor(t *testing.T) {
	for name, operation := range map[string]func(stream grpc.ServerStream) error{
		"RecvMsg": func(stream grpc.ServerStream) error {
			return stream.RecvMsg(&testgrpc.StreamingOutputCallRequest{})
		},
		"SendMsg":    func(stream grpc.ServerStream) error { return stream.SendMsg(&testgrpc.StreamingOutputCallResponse{}) },
		"SendHeader": func(stream grpc.ServerStream) error { return stream.SendHeader(nil) },
		"grpc.SendHeader": func(stream grpc.ServerStream) error {
			return grpc.SendHeader(stream.Context(), nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			proceed, release := make(chan struct{}), make(chan struct{})
			defer close(release)
			failed := make(chan error, 1)
			s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
				_ = grpc.SetSendCompressor(stream.Context(), gzip.Name)
				<-proceed
				failed <- operation(stream)
				<-release // the status does not wait for this handler to return
				return nil
			}))
			stream := s.open(t, "tcp", streamShapes[2], bearer(s.token(nil))...)
			eventually(t, "the stream is open", func() bool { return s.guard.Stats().OpenStreams == 1 })
			s.revokeAll(t)
			if got := s.guard.Stats(); got.OpenStreams != 0 || got.LingeringStreams != 1 {
				t.Errorf("%d open, %d lingering, want 0 and 1", got.OpenStreams, got.LingeringStreams)
			}
			close(proceed)
			if reason, _ := auth0grpc.ReasonFromError(<-failed); reason != auth0grpc.ReasonTokenRevoked {
				t.Errorf("the handler got the reason %q", reason)
			}
			if reason, _ := auth0grpc.ReasonFromError(finish(stream, "tcp").err); reason != auth0grpc.ReasonTokenRevoked {
				t.Errorf("the client got the reason %q", reason)
			}
		})
	}
}

// A nested context is a context whose look-ups pass through one frame more.
type nested struct{ context.Context }

func (c nested) Value(key any) any { return c.Context.Value(key) }

// A look-up from so deep that its user cannot be told finds the transport behind the
// gate, where SetSendCompressor fails and the others work.
func TestLookUpFromDeep(t *testing.T) {
	s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
		ctx := stream.Context()
		for range 100 {
			ctx = nested{ctx}
		}
		if err := grpc.SetSendCompressor(ctx, gzip.Name); err == nil {
			t.Error("SetSendCompressor succeeded")
		}
		if got, ok := grpc.Method(ctx); !ok || got != streamShapes[2].name {
			t.Errorf("Method = %q, %t", got, ok)
		}
		return grpc.SetHeader(ctx, metadata.Pairs("x-a", "1"))
	}))
	got := finish(s.open(t, "bufconn", streamShapes[2], bearer(s.token(nil))...), "bufconn")
	if got.err != nil || len(got.header.Get("x-a")) != 1 {
		t.Errorf("%v, header %v", got.err, got.header)
	}
}
