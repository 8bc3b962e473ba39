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

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

// StreamTTLHeader is the key of the response header metadata in which a stream
// that will be ended tells the client how long it may last, in whole seconds, so
// that a client can open the next one in time. gRPC sends header metadata with
// the first message, or when the handler calls SendHeader.
const StreamTTLHeader = "auth0grpc-stream-ttl"

// A StreamPanic is what a panic in the handler of a stream that was opened with
// a token arrives as at the interceptors outside ours, on a transport that is
// not grpc-go's own: to end such a stream its handler has to run on another
// goroutine than they do. With grpc-go's transports, TCP and ServeHTTP, a panic
// arrives as it is.
type StreamPanic struct {
	Value any    // what the handler panicked with
	Stack []byte // of the panic, as from runtime/debug.Stack
}

// Error returns the value and the stack.
func (p *StreamPanic) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Unwrap returns the value if it is an error.
func (p *StreamPanic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// endRevoked ends the streams whose token a new revocation of c covers. It does
// not wait for them: the client of one may be slow to take its status.
func (i *Interceptor) endRevoked(c revocation.Criteria) {
	now := i.verifier.now()
	i.streams.mu.Lock()
	defer i.streams.mu.Unlock()
	for _, g := range i.streams.open {
		if c.Matches(g.claims.revocationToken()) && i.verifier.checkRevoked(g.claims, now) != nil && g.asked.CompareAndSwap(false, true) {
			go i.endStream(g, refusedRevoked)
		}
	}
}

// serveStream runs the handler of a stream that was opened with a token, and
// sees to it that the stream ends when it is to; then the error is a *refusal.
func (i *Interceptor) serveStream(ctx context.Context, v *verdict, srv any, stream grpc.ServerStream, handler grpc.StreamHandler) error {
	g := newGuardedStream(ctx, v, stream)
	defer g.cancel(nil)
	now := i.verifier.now()
	if deadline, limited := i.streamDeadline(v); limited {
		ttl := max(0, int64(deadline.Sub(now)/time.Second))
		_ = grpc.SetHeader(ctx, metadata.MD{StreamTTLHeader: {strconv.FormatInt(ttl, 10)}})
		g.deadline = deadlineOf(deadline)
	}
	i.addStream(g, now)
	defer i.streams.remove(g)
	// Whoever revoked between the decision and addStream did not see this stream.
	if why := i.verifier.checkRevoked(v.claims, now); why != nil && g.asked.CompareAndSwap(false, true) && !i.letBe(ctx, *v, why) {
		v.refused = why
		why.send(ctx, i.challenge(v))
		return why
	}
	serve := i.serveHere
	if g.ended != nil {
		serve = i.serveApart
	}
	err := fromHandler(serve(g, srv, handler))
	v.refused = g.why
	return err
}

// streamDeadline returns when the stream is to end, and whether it is.
func (i *Interceptor) streamDeadline(v *verdict) (time.Time, bool) {
	policy := i.streams.policy
	if v.row != nil && v.row.rule.streams.kind != 0 {
		policy = v.row.rule.streams
	}
	return v.claims.expiry.Add(i.verifier.skew + policy.grace), policy.kind != runOn
}

// endStream ends a stream under its handler, unless nothing is enforced or it has
// just ended by itself. Its client has the status when it returns; its handler
// finds that its context has ended and that the stream takes no more.
func (i *Interceptor) endStream(g *guardedStream, why *refusal) {
	if g.over() || i.letBe(g.ctx, g.verdict(), why) {
		return
	}
	why = why.underHandler()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone || g.why != nil {
		return
	}
	g.why = why
	i.streams.remove(g) // before the client can know that it is over
	g.cancel(why)       // first the cause, then the gate: who finds it shut finds the cause
	g.shut()
	v := g.verdict()
	v.refused = why
	why.send(g.ctx, i.challenge(&v))
	if g.ended != nil {
		close(g.ended)
		return
	}
	_ = g.transport().WriteStatus(why.status) // an error means that the client is gone
}

// letBe reports whether a stream that should end goes on because nothing is
// enforced, and tells of it. It is called without a lock.
func (i *Interceptor) letBe(ctx context.Context, v verdict, why *refusal) bool {
	v.refused, v.reported = why, true
	if !i.reports(&v) {
		return false
	}
	i.remind(ctx, i.verifier.now())
	if i.onDecision != nil {
		fullMethod, _ := grpc.Method(ctx)
		i.tell(ctx, v.decision(fullMethod, 0))
	}
	return true
}

// leftStatus is the end of a handler that called runtime.Goexit.
var leftStatus = status.New(codes.Internal, "auth0grpc: the handler left its goroutine")

// serveHere runs the handler on the goroutine of the call.
func (i *Interceptor) serveHere(g *guardedStream, srv any, handler grpc.StreamHandler) (err error) {
	returned := false
	defer func() {
		why := g.close()
		if why != nil {
			err = why
		}
		if returned {
			return
		}
		switch p := recover(); {
		case p == nil:
			_ = g.transport().WriteStatus(leftStatus) // gRPC alone would leave the client waiting
		case why == nil:
			panic(p) // with the handler still on the stack
		default:
			i.logPanic(g, &StreamPanic{Value: p, Stack: debug.Stack()})
		}
	}()
	err = handler(srv, g)
	returned = true
	return err
}

// serveApart runs the handler on another goroutine, because nothing but the
// return of this one ends the stream.
func (i *Interceptor) serveApart(g *guardedStream, srv any, handler grpc.StreamHandler) error {
	type result struct {
		err      error
		panicked *StreamPanic
	}
	done := make(chan result, 1)
	go func() {
		end := result{err: leftStatus.Err()}
		defer func() {
			if p := recover(); p != nil {
				end.panicked = &StreamPanic{Value: p, Stack: debug.Stack()}
			}
			if g.close() == nil {
				done <- end
			} else if end.panicked != nil {
				i.logPanic(g, end.panicked)
			}
		}()
		end.err = handler(srv, g)
	}()
	select {
	case end := <-done:
		if end.panicked != nil {
			panic(end.panicked)
		}
		return end.err
	case <-g.ended:
		return g.why
	}
}

// logPanic takes a panic for which nobody waits any more: a handler whose stream
// was ended under it must not bring the server down.
func (i *Interceptor) logPanic(g *guardedStream, p *StreamPanic) {
	i.logger.ErrorContext(g.ctx, "auth0grpc: the handler of an ended stream panicked", "panic", p)
}
