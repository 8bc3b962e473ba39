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

// A guardedStream is a stream that was opened with a token, as its handler sees it.
// After its end no new operation of the handler reaches gRPC.
//
// The handler runs on the goroutine on which gRPC called the interceptor, as without
// this package. gRPC documents only one way to end a stream on the server's side: the
// return of the last interceptor. gRPC itself uses another if RecvMsg or SendMsg fail:
// the method WriteStatus of the stream in the context. That method sends the status,
// wakes a blocked handler, and has no further effect when the interceptors return. A
// guardedStream uses the same method. If the stream in the context has no such method,
// the handler runs on its own goroutine: see serveInGoroutine.
type guardedStream struct {
	grpc.ServerStream
	callCtx    context.Context                   // of the call, with gRPC's own transport stream in it
	handlerCtx atomic.Pointer[cancelableContext] // see ownContext
	transport  grpc.ServerTransportStream        // from callCtx; may be nil

	caller
	fullMethod string
	messages   *messageGuard // nil: no rules about messages

	shard     *streamShard
	deadline  int64 // of openStreams, under the lock of the shard, like the next three
	links     [indexCount]streamLink
	heapIndex int32 // -1: no deadline
	listed    bool

	handlerDone bool // the handler has returned; under mu, like the next one
	statusOwed  bool // see settleCompressor

	endRequested atomic.Bool // by a revocation
	ended        atomic.Bool // the gate: operations of the handler no longer reach gRPC
	compressor   atomic.Int64

	mu        sync.Mutex
	endReason *refusal      // nil: not ended by the server; written under mu, and before ended
	endedCh   chan struct{} // nil: the transport can send a status
}

func newGuardedStream(ctx context.Context, fullMethod string, c *caller, stream grpc.ServerStream) *guardedStream {
	g := &guardedStream{ServerStream: stream, callCtx: ctx, caller: *c, fullMethod: fullMethod, deadline: noDeadline}
	g.transport = grpc.ServerTransportStreamFromContext(ctx)
	if g.writer() == nil {
		g.endedCh = make(chan struct{})
	}
	return g
}

// checkRow returns the caller of the stream under another table, and the refusal of that
// table or nil. A stream that began under other rules about messages is refused,
// because its messages were not compared with the new ones.
func (g *guardedStream) checkRow(methods *table) (caller, *refusal) {
	c := g.caller
	c.table, c.row = methods, methods.lookup(g.fullMethod)
	refused := c.checkRow()
	if refused == nil && c.row.messages != nil && (g.row == nil || c.row.rule.messageModifiers() != g.row.rule.messageModifiers()) {
		refused = c.row.messages.unnamed()
	}
	return c, refused
}

// A statusWriter is a transport stream that can send a status.
type statusWriter interface{ WriteStatus(*status.Status) error }

// writer returns the transport stream, or nil if it cannot send a status.
func (g *guardedStream) writer() statusWriter {
	w, _ := g.transport.(statusWriter)
	return w
}

// finish records that the handler has returned. It waits for an end in progress,
// and returns the reason if the stream was ended.
func (g *guardedStream) finish() *refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.handlerDone = true
	return g.endReason
}

// endHandler ends the stream for its handler, and reports whether it was open. The client
// has no status yet. describe sets metadata that accompanies the status.
func (g *guardedStream) endHandler(reason *refusal, describe func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.handlerDone || g.endReason != nil {
		return false
	}
	g.endReason = reason
	g.ownContext().cancel(reason) // before the gate: a handler that finds it closed finds the cause
	g.ended.Store(true)
	describe()
	if g.endedCh != nil {
		close(g.endedCh)
	}
	return true
}

// writeStatus sends the status of the end to the client. Behind ServeHTTP it blocks
// while the client reads nothing.
func (g *guardedStream) writeStatus() {
	g.mu.Lock()
	defer g.mu.Unlock()
	writer := g.writer()
	if g.handlerDone || writer == nil { // the interceptor returns the reason
		return
	}
	if g.compressor.Load() != 0 {
		g.statusOwed = true
		return
	}
	_ = writer.WriteStatus(g.endReason.status) // an error means that the client has left
}

// Context returns the context of the call with the token. It ends with the
// stream; if the server ended it, context.Cause returns the reason.
func (g *guardedStream) Context() context.Context { return handlerContext{g} }

// RecvMsg returns no message that arrives after the end, and none that the rule refuses.
func (g *guardedStream) RecvMsg(m any) error {
	g.settleCompressor(false)
	if g.ended.Load() {
		return g.endReason
	}
	err := g.ServerStream.RecvMsg(m)
	if g.messages != nil && !g.ended.Load() {
		if refused := g.messages.received(m, err); refused != nil {
			return refused
		}
	}
	return g.endError(err, true)
}

func (g *guardedStream) SendMsg(m any) error {
	g.settleCompressor(true)
	if g.ended.Load() {
		return g.endReason
	}
	if g.messages != nil {
		if refused := g.messages.sends(); refused != nil {
			return refused
		}
	}
	return g.endError(g.ServerStream.SendMsg(m), false)
}

func (g *guardedStream) SendHeader(md metadata.MD) error {
	g.settleCompressor(true)
	if g.ended.Load() {
		return g.endReason
	}
	return g.endError(g.ServerStream.SendHeader(md), false)
}

func (g *guardedStream) SetHeader(md metadata.MD) error {
	if g.ended.Load() {
		return g.endReason
	}
	return g.ServerStream.SetHeader(md)
}

func (g *guardedStream) SetTrailer(md metadata.MD) {
	if !g.ended.Load() {
		g.ServerStream.SetTrailer(md)
	}
}

// endError replaces err with the reason for which the stream was ended. always
// replaces a nil error too.
func (g *guardedStream) endError(err error, always bool) error {
	if (err != nil || always) && g.ended.Load() {
		return g.endReason
	}
	return err
}

// A cancelableContext is a context that can end before its parent.
type cancelableContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// unneededContext stands for the context of a handler that has returned before anything
// needed one.
var unneededContext = new(cancelableContext)

// ownContext returns the context that ends with the stream. It makes that context when
// something waits for its end or the server ends the stream: most handlers wait in
// RecvMsg, and an idle stream would keep a third more memory.
func (g *guardedStream) ownContext() *cancelableContext {
	current := g.handlerCtx.Load()
	if current != nil && current != unneededContext {
		return current
	}
	own := new(cancelableContext)
	own.Context, own.cancel = context.WithCancelCause(g.callCtx)
	if current == unneededContext {
		own.cancel(nil)
	}
	if !g.handlerCtx.CompareAndSwap(current, own) { // made or ended meanwhile
		own.cancel(nil)
		return g.ownContext()
	}
	return own
}

// releaseContext ends the handler's context when the handler has returned.
func (g *guardedStream) releaseContext() {
	if !g.handlerCtx.CompareAndSwap(nil, unneededContext) {
		g.ownContext().cancel(nil)
	}
}

// A handlerContext is the context of a stream's handler. Functions of package
// grpc that find the transport stream in it, such as [grpc.SetHeader], find one
// behind the gate.
type handlerContext struct{ stream *guardedStream }

// current returns the context that ends with the stream, or the context of the call
// while nothing needs another one.
func (c handlerContext) current() context.Context {
	if c.stream.handlerCtx.Load() == nil {
		return c.stream.callCtx
	}
	return c.stream.ownContext()
}

func (c handlerContext) Deadline() (time.Time, bool) { return c.stream.callCtx.Deadline() }
func (c handlerContext) Done() <-chan struct{}       { return c.stream.ownContext().Done() }
func (c handlerContext) Err() error                  { return c.current().Err() }

func (c handlerContext) Value(key any) any {
	if key == transportKey && c.stream.transport != nil {
		return c.stream.handlerTransport()
	}
	return c.current().Value(key)
}

// transportKey is the key under which gRPC keeps the transport stream.
var transportKey = func() any {
	probe := keyProbe{Context: context.Background()}
	grpc.ServerTransportStreamFromContext(&probe)
	return probe.key
}()

// A keyProbe records the key that it was asked for.
type keyProbe struct {
	context.Context
	key any
}

func (p *keyProbe) Value(key any) any {
	p.key = key
	return nil
}

// A gatedTransport is the transport stream that a handler finds in its context.
type gatedTransport struct{ stream *guardedStream }

func (t gatedTransport) Method() string { return t.stream.transport.Method() }

func (t gatedTransport) SetHeader(md metadata.MD) error {
	if t.stream.ended.Load() {
		return t.stream.endReason
	}
	return t.stream.transport.SetHeader(md)
}

func (t gatedTransport) SendHeader(md metadata.MD) error {
	t.stream.settleCompressor(true)
	if t.stream.ended.Load() {
		return t.stream.endReason
	}
	return t.stream.endError(t.stream.transport.SendHeader(md), false)
}

func (t gatedTransport) SetTrailer(md metadata.MD) error {
	if t.stream.ended.Load() {
		return t.stream.endReason
	}
	return t.stream.transport.SetTrailer(md)
}

// A gatedStatusTransport can send a status too, like gRPC's own transport streams. A
// second [Interceptor] behind this one uses it to end its streams.
type gatedStatusTransport struct{ gatedTransport }

func (t gatedStatusTransport) WriteStatus(s *status.Status) error {
	if t.stream.ended.Load() {
		return t.stream.endReason
	}
	return t.stream.writer().WriteStatus(s)
}
