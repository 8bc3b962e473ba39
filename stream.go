package auth0grpc

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// StreamTTLHeader is the key of the response header metadata that holds the time
// until the server ends the stream, in whole seconds. A client can open the next
// stream in time. A stream that ignores expiry has none. gRPC sends header
// metadata with the first message, or when the handler calls SendHeader.
const StreamTTLHeader = "auth0grpc-stream-ttl"

// StreamPanic wraps a panic of a stream handler that ran on its own goroutine.
// Outer interceptors see it only on transports other than grpc-go's, TCP and
// ServeHTTP; there the original value propagates.
type StreamPanic struct {
	Value any    // the argument of panic
	Stack []byte // of the panic, as from runtime/debug.Stack
}

// Error returns the value and the stack.
func (p *StreamPanic) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Unwrap returns the value if it is an error.
func (p *StreamPanic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// serveStream runs the handler of a stream that was opened with a token, and ends
// the stream when its policy or a revocation demands it. It then returns the reason,
// as the error too.
func (i *Interceptor) serveStream(ctx context.Context, v *verdict, fullMethod string, srv any, stream grpc.ServerStream, handler grpc.StreamHandler) (*refusal, error) {
	c := &v.caller
	g := newGuardedStream(ctx, fullMethod, c, stream)
	defer g.releaseContext()
	if !v.reported {
		guardMessages(i, g, fullMethod)
	}
	now := i.clock.now()
	if deadline, hasDeadline := i.streams.deadline(c); hasDeadline {
		ttl := max(0, int64(deadline.Sub(now)/time.Second))
		_ = grpc.SetHeader(ctx, metadata.MD{StreamTTLHeader: {strconv.FormatInt(ttl, 10)}})
		g.deadline = deadlineMicros(deadline)
	}
	i.streams.add(g, now)
	defer i.streams.remove(g)
	if reason := refusedSince(i, g, c, now); reason != nil {
		i.binder.withChallenges(c, reason, i.clock.now).withResourceMetadata(i.metadataURL).sendChallenge(ctx)
		return reason, reason
	}
	serve := g.serveInline
	if g.endedCh != nil {
		serve = g.serveInGoroutine
	}
	err := fromHandler(serve(i, srv, handler))
	return g.endReason, err
}

// refusedSince returns the refusal of a stream by a revocation or a new table that came
// between the decision and [openStreams.add], and therefore did not find the stream.
func refusedSince(i *Interceptor, g *guardedStream, c *caller, now time.Time) *refusal {
	reason := i.verifier.checkRevoked(c.claims, now)
	if reason != nil && !g.endRequested.CompareAndSwap(false, true) {
		return nil // the revocation found it after all
	}
	if methods := i.table.Load(); reason == nil && methods != c.table {
		*c, reason = g.checkRow(methods)
	}
	if reason != nil && i.observer.allowsReportOnly(c, reason) {
		i.observer.reportStream(g.callCtx, c, reason)
		return nil
	}
	return reason
}

// guardMessages sets the guard of the messages of a stream, if its row has rules about
// them.
func guardMessages(i *Interceptor, g *guardedStream, fullMethod string) {
	if g.row == nil || g.row.messages == nil {
		return
	}
	g.messages = newMessageGuard(g.row.messages.unnamed(), func(message any, last *lastObjects) *refusal {
		return g.row.messages.check(g.Context(), fullMethod, g.claims, message, last)
	}, func(reason *refusal) bool {
		i.observer.warnMisconfigured(g.callCtx, g.row, reason)
		i.endStream(g, &g.caller, reason) // or only reports
		return !i.observer.allowsReportOnly(&g.caller, reason)
	})
}

// endStream ends a stream under its handler, unless report-only keeps it open or it has
// just ended by itself. c is the stream's caller, under the table that demands the end.
// When it returns, the handler's context has ended and the stream transfers no more
// messages. The client gets its status a little later.
func (i *Interceptor) endStream(g *guardedStream, c *caller, reason *refusal) {
	if i.observer.allowsReportOnly(c, reason) {
		i.streams.statuses.do(func() { i.observer.reportStream(g.callCtx, c, reason) }) // it calls the hook
		return
	}
	i.streams.endOne(g, reason, func() {
		if g.transport == nil { // of CheckStream: a call in its context is not ours
			return
		}
		i.binder.withChallenges(c, reason, i.clock.now).withResourceMetadata(i.metadataURL).sendChallenge(g.callCtx)
	})
}

// goexitStatus is the status for a handler that called runtime.Goexit.
var goexitStatus = status.New(codes.Internal, "auth0grpc: the handler left its goroutine")

// serveInline runs the handler on the goroutine of the call.
func (g *guardedStream) serveInline(i *Interceptor, srv any, handler grpc.StreamHandler) (err error) {
	returned := false
	defer func() {
		reason := i.streams.handlerReturned(g)
		if reason != nil {
			err = reason
		}
		if returned {
			return
		}
		switch p := recover(); {
		case p == nil:
			_ = g.writer().WriteStatus(goexitStatus) // gRPC alone would leave the client waiting
		case reason == nil:
			panic(p) // with the handler still on the stack
		default:
			i.observer.logPanic(g.callCtx, &StreamPanic{Value: p, Stack: debug.Stack()})
		}
	}()
	err = handler(srv, g)
	returned = true
	return err
}

// serveInGoroutine runs the handler on another goroutine, because only the return
// of this one ends the stream.
func (g *guardedStream) serveInGoroutine(i *Interceptor, srv any, handler grpc.StreamHandler) error {
	type result struct {
		err      error
		panicked *StreamPanic
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: goexitStatus.Err()}
		defer func() {
			if p := recover(); p != nil {
				r.panicked = &StreamPanic{Value: p, Stack: debug.Stack()}
			}
			if i.streams.handlerReturned(g) == nil {
				done <- r
			} else if r.panicked != nil {
				i.observer.logPanic(g.callCtx, r.panicked)
			}
		}()
		r.err = handler(srv, g)
	}()
	select {
	case r := <-done:
		if r.panicked != nil {
			panic(r.panicked)
		}
		return r.err
	case <-g.endedCh:
		return g.endReason
	}
}
