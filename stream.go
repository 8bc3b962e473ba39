package auth0grpc

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A StreamPolicy says what becomes of an open stream when the token that it was
// opened with expires. The zero StreamPolicy is EndAtExpiry in a Config, and
// "as Config.Streams says" in a Rule.
type StreamPolicy struct {
	kind  streamKind
	grace time.Duration
}

type streamKind int

const (
	endAtExpiry streamKind = iota + 1
	endAfter
	runOn
)

// EndAtExpiry ends the stream when its token expires, plus Config.ClockSkew.
func EndAtExpiry() StreamPolicy { return StreamPolicy{kind: endAtExpiry} }

// EndAfter ends the stream a while after its token has expired, so that a client
// can finish what it is at and reopen. grace must be positive.
func EndAfter(grace time.Duration) StreamPolicy { return StreamPolicy{kind: endAfter, grace: grace} }

// RunOn lets the stream go on for as long as it likes. Revoke still ends it.
func RunOn() StreamPolicy { return StreamPolicy{kind: runOn} }

// String returns the policy as it reads in the printed table.
func (p StreamPolicy) String() string {
	switch p.kind {
	case endAfter:
		return "streams end " + p.grace.String() + " after expiry"
	case runOn:
		return "streams run on"
	}
	return "streams end at expiry"
}

func (p StreamPolicy) fault() string {
	if p.kind == endAfter && p.grace <= 0 {
		return "want a positive grace; EndAtExpiry has none"
	}
	return ""
}

// StreamTTLHeader is the key of the response header metadata in which a stream
// that will be ended tells the client how long it may last, in whole seconds, so
// that a client can open the next one in time. gRPC sends header metadata with
// the first message, or when the handler calls SendHeader.
const StreamTTLHeader = "auth0grpc-stream-ttl"

// A StreamPanic is what a panic in the handler of a stream that was opened with
// a token arrives as at the interceptors outside ours. Such handlers run on a
// goroutine of their own, so that the stream can be ended while they block; the
// stack is that of the panic.
type StreamPanic struct {
	Value any    // what the handler panicked with
	Stack []byte // as from runtime/debug.Stack
}

// Error returns the value and the stack.
func (p *StreamPanic) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Unwrap returns the value if it is an error.
func (p *StreamPanic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// streams are the open streams that a revocation may end.
type streams struct {
	policy StreamPolicy
	timer  func(time.Duration) (<-chan time.Time, func() bool)

	mu   sync.Mutex
	open map[*guardedStream]struct{}
}

// realTimer is time.NewTimer; tests put another in its place.
func realTimer(d time.Duration) (<-chan time.Time, func() bool) {
	t := time.NewTimer(d)
	return t.C, t.Stop
}

func (s *streams) add(g *guardedStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*guardedStream]struct{}{}
	}
	s.open[g] = struct{}{}
}

func (s *streams) remove(g *guardedStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, g)
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// endRevoked ends the streams whose token has been revoked.
func (s *streams) endRevoked(v *verifier) {
	now := v.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for g := range s.open {
		if v.checkRevoked(g.claims, now) != nil {
			g.revoke()
		}
	}
}

// serveStream runs the handler of a stream that was opened with a token, until
// it returns or the stream is to end; then a *refusal says why.
func (i *Interceptor) serveStream(ctx context.Context, v *verdict, srv any, stream grpc.ServerStream, handler grpc.StreamHandler) error {
	g := &guardedStream{ServerStream: stream, claims: v.claims, revoked: make(chan struct{}, 1), done: make(chan handled, 1)}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	defer g.cancel(nil)
	i.streams.add(g)
	defer i.streams.remove(g)
	// Whoever revoked between the decision and add did not see this stream.
	if why := i.verifier.checkRevoked(g.claims, i.verifier.now()); why != nil && !i.letBe(ctx, v, why) {
		return i.refuseStream(ctx, v, why)
	}
	deadline, limited := i.streamDeadline(v)
	if limited {
		ttl := max(0, int64(deadline.Sub(i.verifier.now())/time.Second))
		_ = grpc.SetHeader(ctx, metadata.Pairs(StreamTTLHeader, strconv.FormatInt(ttl, 10)))
	}
	go i.handle(g, srv, handler)
	for {
		why, end := i.await(g, deadline, limited)
		if why != nil && i.letBe(ctx, v, why) {
			limited = limited && why != refusedExpired
			continue
		}
		if why != nil && !g.end(why) {
			why, end = nil, <-g.done
		}
		if why != nil {
			i.streams.remove(g) // before the client can know that it is over
			err := i.refuseStream(ctx, v, why)
			g.clear(ctx, why)
			return err
		}
		if end.panicked != nil {
			panic(end.panicked)
		}
		return end.err
	}
}

// refuseStream is the end of a stream that is not to go on.
func (i *Interceptor) refuseStream(ctx context.Context, v *verdict, why *refusal) error {
	v.refused = why
	why.send(ctx, i.challenge(v))
	return why
}

// letBe reports whether a stream that should end goes on because nothing is
// enforced, and tells of it.
func (i *Interceptor) letBe(ctx context.Context, v *verdict, why *refusal) bool {
	would := *v
	would.refused, would.reported = why, true
	if !i.reports(&would) {
		return false
	}
	i.remind(ctx, i.verifier.now())
	if i.onDecision != nil {
		fullMethod, _ := grpc.Method(ctx)
		i.tell(ctx, would.decision(fullMethod, 0))
	}
	return true
}

// streamDeadline returns when the stream is to end, and whether it is.
func (i *Interceptor) streamDeadline(v *verdict) (time.Time, bool) {
	policy := i.streams.policy
	if v.row != nil && v.row.rule.streams.kind != 0 {
		policy = v.row.rule.streams
	}
	return v.claims.expiry.Add(i.verifier.skew + policy.grace), policy.kind != runOn
}

// await waits for the handler, the deadline or a revocation, whichever is first,
// and returns why the stream is to end, or how the handler ended.
func (i *Interceptor) await(g *guardedStream, deadline time.Time, limited bool) (*refusal, handled) {
	for {
		var fire <-chan time.Time
		stop := func() bool { return true }
		if limited {
			fire, stop = i.streams.timer(deadline.Sub(i.verifier.now()))
		}
		select {
		case end := <-g.done:
			stop()
			return nil, end
		case <-g.revoked:
			stop()
			return refusedRevoked, handled{}
		case <-fire:
			// The clock may have been set back meanwhile; then wait again.
			if !i.verifier.now().Before(deadline) {
				return refusedExpired, handled{}
			}
		}
	}
}

// handle runs the handler and reports its end: its error, its panic, or that it
// left its goroutine.
func (i *Interceptor) handle(g *guardedStream, srv any, handler grpc.StreamHandler) {
	end := handled{err: status.Error(codes.Internal, "auth0grpc: the handler left its goroutine")}
	defer func() {
		if p := recover(); p != nil {
			end.panicked = &StreamPanic{Value: p, Stack: debug.Stack()}
		}
		if g.settled.CompareAndSwap(false, true) {
			g.done <- end
		} else if end.panicked != nil { // nobody waits for it any more, and it must not bring the server down
			i.logger.ErrorContext(g.ctx, "auth0grpc: the handler of an ended stream panicked", "panic", end.panicked)
		}
	}()
	end.err = handler(srv, g)
}
