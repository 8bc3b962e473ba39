package auth0grpc

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A guardedStream is a stream that was opened with a token. Its handler runs on
// a goroutine of its own, one for each stream, so that the interceptor can return
// also while the handler blocks in RecvMsg or SendMsg or computes.
type guardedStream struct {
	grpc.ServerStream
	ctx    context.Context
	cancel context.CancelCauseFunc
	claims *claims

	settled atomic.Bool // somebody has decided how the stream ends: the handler or we, whoever was first
	revoked chan struct{}
	done    chan handled // the handler's own end

	// The gate. gRPC and the interceptors outside of ours take the return of ours
	// for the end of all that the handler does with the stream, and need no lock
	// for what they read then. So that it is the end, nothing gets through the gate
	// after it was shut, and what got through before is waited for.
	inside atomic.Int64  // calls of the handler that are on their way, plus shut
	empty  chan struct{} // made when the gate is shut, sent to by the last one out
}

// shut is added to guardedStream.inside when we end the stream.
const shut = 1 << 32

// handled is how a handler ended.
type handled struct {
	err      error
	panicked *StreamPanic
}

// revoke asks await to end the stream.
func (g *guardedStream) revoke() {
	select {
	case g.revoked <- struct{}{}:
	default: // it was asked before
	}
}

// enter reports whether a call of the handler may go on to gRPC; leave is then to
// be called after it.
func (g *guardedStream) enter() bool {
	for {
		n := g.inside.Load()
		if n >= shut {
			return false
		}
		if g.inside.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *guardedStream) leave() {
	if g.inside.Add(-1) == shut {
		g.empty <- struct{}{}
	}
}

// end takes the stream away from its handler and reports whether that was in
// time: a handler that has just ended by itself keeps its own outcome.
func (g *guardedStream) end(why *refusal) bool {
	if !g.settled.CompareAndSwap(false, true) {
		return false
	}
	g.cancel(why) // first the cause, then the gate: who finds it shut finds the cause
	g.empty = make(chan struct{}, 1)
	g.inside.Add(shut)
	return true
}

// clear makes the calls come back that are inside the gate. Those blocked in gRPC
// do when the stream has its status, which else gRPC would write at the return
// of the last interceptor. It does so itself where RecvMsg or SendMsg fail, in
// the same way; should a version have no such method any more, they come back
// after the interceptor has returned.
func (g *guardedStream) clear(ctx context.Context, why *refusal) {
	if g.inside.Load() == shut {
		return
	}
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface {
		WriteStatus(*status.Status) error
	})
	if !ok {
		return
	}
	_ = stream.WriteStatus(why.status) // an error means that the client is gone
	<-g.empty
}

// Context returns the context of the call with the token. It ends with the
// stream; where we end it, context.Cause tells why.
func (g *guardedStream) Context() context.Context { return g.ctx }

func (g *guardedStream) RecvMsg(m any) error {
	if !g.enter() {
		return context.Cause(g.ctx)
	}
	defer g.leave()
	return g.because(g.ServerStream.RecvMsg(m))
}

func (g *guardedStream) SendMsg(m any) error {
	if !g.enter() {
		return context.Cause(g.ctx)
	}
	defer g.leave()
	return g.because(g.ServerStream.SendMsg(m))
}

func (g *guardedStream) SetHeader(md metadata.MD) error {
	if !g.enter() {
		return context.Cause(g.ctx)
	}
	defer g.leave()
	return g.ServerStream.SetHeader(md)
}

func (g *guardedStream) SendHeader(md metadata.MD) error {
	if !g.enter() {
		return context.Cause(g.ctx)
	}
	defer g.leave()
	return g.because(g.ServerStream.SendHeader(md))
}

func (g *guardedStream) SetTrailer(md metadata.MD) {
	if g.enter() {
		defer g.leave()
		g.ServerStream.SetTrailer(md)
	}
}

// because gives a handler that was blocked when the stream ended the reason, and
// not just that its context is gone.
func (g *guardedStream) because(err error) error {
	if err != nil && g.inside.Load() >= shut {
		return context.Cause(g.ctx)
	}
	return err
}
