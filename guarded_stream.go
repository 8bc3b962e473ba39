package auth0grpc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A guardedStream is a stream that was opened with a token.
//
// The handler runs where gRPC called us, as it would without us. Nothing that
// gRPC documents ends a stream on the server's side but the return of the last
// interceptor; it does so itself, where RecvMsg or SendMsg fail, by the method
// WriteStatus of the stream in the context, which lets the status go out, wakes
// what is blocked, and has nothing more to do when the interceptors return. We
// use the same. Where the stream in the context has no such method, the handler
// runs on a goroutine of its own: see serveApart.
type guardedStream struct {
	grpc.ServerStream
	ctx    context.Context
	cancel context.CancelCauseFunc
	writes atomic.Int64 // calls of the handler under way that write, and shutMark

	row    *row // of the verdict, as are these
	claims *claims
	scheme scheme
	hit    bool

	deadline int64 // of streams, under its lock, as is what follows
	index    int   // in the heap; -1 when it was removed

	asked atomic.Bool // a revocation has asked for the end
	gone  bool        // the handler has ended by itself; this and what follows is under mu
	mu    sync.Mutex
	why   *refusal      // we have ended it
	ended chan struct{} // closed with why, if there is no transport
}

func newGuardedStream(ctx context.Context, v *verdict, stream grpc.ServerStream) *guardedStream {
	g := &guardedStream{ServerStream: stream, row: v.row, claims: v.claims, scheme: v.scheme, hit: v.hit, deadline: never}
	g.ctx, g.cancel = context.WithCancelCause(ctx)
	if g.transport() == nil {
		g.ended = make(chan struct{})
	}
	return g
}

// verdict returns the one under which the stream was opened.
func (g *guardedStream) verdict() verdict {
	return verdict{row: g.row, claims: g.claims, scheme: g.scheme, hit: g.hit}
}

type statusWriter interface{ WriteStatus(*status.Status) error }

// transport returns what takes the status, or nil.
func (g *guardedStream) transport() statusWriter {
	transport, _ := grpc.ServerTransportStreamFromContext(g.ctx).(statusWriter)
	return transport
}

// close is called when the handler has ended. It waits for an end that is being
// made, and returns why that was.
func (g *guardedStream) close() *refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = true
	return g.why
}

// shutMark is added to guardedStream.writes when we end the stream: what the
// handler tries from then on does not reach gRPC.
const shutMark = 1 << 32

// shut closes the gate, and gives writes of the handler that are inside a moment
// to be done. One that is still there then is blocked on the client's window,
// and fails when the stream has its status.
func (g *guardedStream) shut() {
	g.writes.Add(shutMark)
	for moment := 20 * time.Microsecond; g.writes.Load() != shutMark && moment < 2*time.Millisecond; moment *= 2 {
		time.Sleep(moment)
	}
}

// over reports whether the stream was ended by us.
func (g *guardedStream) over() bool { return g.writes.Load() >= shutMark }

// enter reports whether a write of the handler may go on to gRPC; leave is then
// to be called after it.
func (g *guardedStream) enter() bool {
	if g.writes.Add(1) < shutMark {
		return true
	}
	g.leave()
	return false
}

func (g *guardedStream) leave() { g.writes.Add(-1) }

// Context returns the context of the call with the token. It ends with the
// stream; where we end it, context.Cause tells why.
func (g *guardedStream) Context() context.Context { return g.ctx }

func (g *guardedStream) RecvMsg(m any) error {
	if g.over() {
		return context.Cause(g.ctx)
	}
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
	if err != nil && g.over() {
		return context.Cause(g.ctx)
	}
	return err
}
