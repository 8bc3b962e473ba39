package auth0grpc

import (
	"context"
	"errors"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A plainTransport is a transport stream that takes no status.
type plainTransport struct{}

func (plainTransport) Method() string               { return "/a.B/C" }
func (plainTransport) SetHeader(metadata.MD) error  { return nil }
func (plainTransport) SendHeader(metadata.MD) error { return nil }
func (plainTransport) SetTrailer(metadata.MD) error { return nil }

// A statusTransport takes one, as gRPC's own does.
type statusTransport struct {
	plainTransport
	statuses *[]*status.Status
}

func (t statusTransport) WriteStatus(s *status.Status) error {
	*t.statuses = append(*t.statuses, s)
	return nil
}

// A stream is ended at most once, for the first reason, and not after its handler
// has returned. The client gets one status: from writeStatus, or from gRPC when the
// interceptor returns.
func TestEndOfOneStream(t *testing.T) {
	for name, writes := range map[string]bool{"transport takes a status": true, "transport takes none": false} {
		t.Run(name, func(t *testing.T) {
			var statuses []*status.Status
			open := func() *guardedStream {
				var transport grpc.ServerTransportStream = plainTransport{}
				if writes {
					transport = statusTransport{statuses: &statuses}
				}
				statuses = nil
				return newGuardedStream(grpc.NewContextWithServerTransportStream(context.Background(), transport), "/a.B/C", &caller{claims: new(claims)}, nil)
			}
			described := 0
			closeFor := func(g *guardedStream, reason *refusal) bool { return g.endHandler(reason, func() { described++ }) }
			wantStatuses := func(want int) {
				t.Helper()
				if !writes {
					want = 0
				}
				if len(statuses) != want {
					t.Errorf("%d statuses, want %d", len(statuses), want)
				}
			}

			g := open()
			if !closeFor(g, endedExpired) || closeFor(g, endedRevoked) || described != 1 {
				t.Errorf("ended other than once: described %d times", described)
			}
			if cause := context.Cause(g.Context()); cause != error(endedExpired) || !g.ended.Load() {
				t.Errorf("the context ended with %v, gate shut: %t", cause, g.ended.Load())
			}
			if !writes {
				select {
				case <-g.endedCh:
				default:
					t.Error("serveInGoroutine does not learn of the end")
				}
			} else if g.endedCh != nil {
				t.Error("the handler has a goroutine of its own")
			}
			g.writeStatus()
			wantStatuses(1)
			if reason := g.finish(); reason != endedExpired {
				t.Errorf("finish = %v, want the first reason", reason)
			}
			g.writeStatus()
			wantStatuses(1)

			described = 0
			g = open()
			if reason := g.finish(); reason != nil {
				t.Errorf("finish = %v of a stream that was not ended", reason)
			}
			if closeFor(g, endedExpired) || described != 0 || g.ended.Load() || g.finish() != nil {
				t.Error("ended after its handler had returned")
			}
			g.writeStatus()
			wantStatuses(0)
		})
	}
}

// A second Interceptor behind this one sends the status of its streams, until this one
// has ended the stream.
func TestStatusIsBehindTheGate(t *testing.T) {
	var statuses []*status.Status
	ctx := grpc.NewContextWithServerTransportStream(context.Background(), statusTransport{statuses: &statuses})
	g := newGuardedStream(ctx, "/a.B/C", &caller{claims: new(claims)}, nil)
	inner, ok := grpc.ServerTransportStreamFromContext(g.Context()).(statusWriter)
	if !ok {
		t.Fatal("the transport in the context takes no status")
	}
	if err := inner.WriteStatus(endedRevoked.status); err != nil || len(statuses) != 1 {
		t.Errorf("before the end: %v, %d statuses", err, len(statuses))
	}
	g.endHandler(endedExpired, func() {})
	if err := inner.WriteStatus(endedRevoked.status); err != error(endedExpired) || len(statuses) != 1 {
		t.Errorf("after the end: %v, %d statuses", err, len(statuses))
	}
}

// The handler's context ends with the stream, and with the handler, whether or not
// anything waited for its end before.
func TestOwnContext(t *testing.T) {
	cause := errors.New("the call has ended")
	for name, test := range map[string]struct {
		waits bool
		end   func(g *guardedStream, endCall context.CancelCauseFunc)
		want  error // cause
	}{
		"open":         {false, func(*guardedStream, context.CancelCauseFunc) {}, nil},
		"open, waited": {true, func(*guardedStream, context.CancelCauseFunc) {}, nil},
		"ended": {false, func(g *guardedStream, _ context.CancelCauseFunc) {
			g.endHandler(endedRevoked, func() {})
		}, endedRevoked},
		"ended, waited": {true, func(g *guardedStream, _ context.CancelCauseFunc) {
			g.endHandler(endedRevoked, func() {})
			g.releaseContext()
		}, endedRevoked},
		"returned":         {false, func(g *guardedStream, _ context.CancelCauseFunc) { g.releaseContext() }, context.Canceled},
		"returned, waited": {true, func(g *guardedStream, _ context.CancelCauseFunc) { g.releaseContext() }, context.Canceled},
		"call":             {false, func(_ *guardedStream, endCall context.CancelCauseFunc) { endCall(cause) }, cause},
		"call, waited":     {true, func(_ *guardedStream, endCall context.CancelCauseFunc) { endCall(cause) }, cause},
	} {
		t.Run(name, func(t *testing.T) {
			type key struct{}
			callCtx, endCall := context.WithCancelCause(context.WithValue(context.Background(), key{}, "value"))
			defer endCall(nil)
			g := newGuardedStream(callCtx, "/a.B/C", &caller{claims: new(claims)}, nil)
			ctx := g.Context()
			if ctx.Err() != nil || context.Cause(ctx) != nil || ctx.Value(key{}) != "value" || g.handlerCtx.Load() != nil {
				t.Fatalf("at the opening: error %v, cause %v, value %v, own context %v", ctx.Err(), context.Cause(ctx), ctx.Value(key{}), g.handlerCtx.Load())
			}
			child := context.Background()
			if test.waits {
				var cancel context.CancelFunc
				child, cancel = context.WithCancel(ctx)
				defer cancel()
			}
			test.end(g, endCall)
			got, want := context.Cause(ctx), test.want
			if got != want || (ctx.Err() != nil) != (want != nil) || ctx.Value(key{}) != "value" {
				t.Errorf("cause %v, want %v; error %v, value %v", got, want, ctx.Err(), ctx.Value(key{}))
			}
			if test.waits && context.Cause(child) != want {
				t.Errorf("a context made from it has the cause %v, want %v", context.Cause(child), want)
			}
			if done := ctx.Done(); (want != nil) != isClosed(done) || done != ctx.Done() {
				t.Errorf("done is closed: %v, want %v", isClosed(done), want != nil)
			}
		})
	}
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// Waiting, the end and the return may come at once; then all contexts end.
func TestOwnContextAtOnce(t *testing.T) {
	for range 500 {
		g := newGuardedStream(context.Background(), "/a.B/C", &caller{claims: new(claims)}, nil)
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { <-g.Context().Done() })
		}
		group.Go(func() { g.endHandler(endedExpired, func() {}) })
		group.Go(g.releaseContext)
		group.Wait()
		if g.Context().Err() != context.Canceled {
			t.Fatal("the context goes on")
		}
	}
}
