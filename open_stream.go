package auth0grpc

import (
	"context"
	"sync"
	"time"
)

// An OpenStream is a stream, or another long call, that [Interceptor.CheckStream] let
// in. It is safe for concurrent use.
type OpenStream struct {
	ctx        context.Context
	guarded    *guardedStream // nil: opened without a token, so nothing can end it
	guard      *Interceptor
	fullMethod string
	openedAt   time.Time
	close      sync.Once
}

// CheckStream decides like [Interceptor.Check] on a call that may stay open: a stream, a
// WebSocket, a subscription. The context of the [OpenStream] ends when the token expires,
// as the [StreamPolicy] of the row says, or when [Interceptor.Revoke] covers the token.
// The transport must then end the connection and tell the client why.
//
// If the call is refused, the error is a [*Refusal]. Otherwise call [OpenStream.Close]
// when the handler has returned: until then the stream takes memory.
func (i *Interceptor) CheckStream(ctx context.Context, request Request) (*OpenStream, error) {
	if request.MessagesFollow {
		request.Message = messagesFollow
	}
	ctx, v := i.authorize(ctx, &request)
	if err := v.err(); err != nil {
		return nil, err
	}
	s := &OpenStream{ctx: ctx, guard: i, fullMethod: request.FullMethod, openedAt: time.Now()}
	if v.claims == nil {
		return s, nil
	}
	g := newGuardedStream(context.WithValue(ctx, fullMethodKey{}, request.FullMethod), request.FullMethod, &v.caller, nil)
	g.transport = nil // the context may come from a gRPC call, whose transport is not ours
	s.guarded, s.ctx = g, g.ownContext().Context
	if !v.reported {
		guardMessages(i, g, request.FullMethod)
	}
	now := i.clock.now()
	if deadline, hasDeadline := i.streams.deadline(&v.caller); hasDeadline {
		g.deadline = deadlineMicros(deadline)
	}
	i.streams.add(g, now)
	if reason := refusedSince(i, g, &v.caller, now); reason != nil {
		i.streams.remove(g)
		g.releaseContext()
		return nil, i.binder.withChallenges(&v.caller, reason, i.clock.now).withResourceMetadata(i.metadataURL)
	}
	return s, nil
}

// Context returns the context for the handler. It carries the [*Token], and ends with
// the stream. If the server ended it, context.Cause returns a [*Refusal], whose status
// is Unauthenticated and which does not state that no handler ran.
func (s *OpenStream) Context() context.Context { return s.ctx }

// TTL returns the time until the server ends the stream, for the header
// [StreamTTLHeader], and reports whether it ends it by itself.
func (s *OpenStream) TTL() (time.Duration, bool) {
	if s.guarded == nil || s.guarded.deadline == noDeadline {
		return 0, false
	}
	return max(0, time.UnixMicro(s.guarded.deadline).Sub(s.guard.clock.now())), true
}

// Close releases the stream and ends its context. It returns the reason for which the
// server ended the stream, or nil; the transport sends it to the client. Later calls
// return the same.
func (s *OpenStream) Close() *Refusal {
	if s.guarded == nil {
		return nil
	}
	s.close.Do(func() {
		reason := s.guard.streams.handlerReturned(s.guarded)
		s.guard.streams.remove(s.guarded)
		s.guard.observer.notifyStreamEnd(s.ctx, s.fullMethod, &s.guarded.caller, reason, time.Since(s.openedAt))
		s.guarded.releaseContext()
	})
	return s.guarded.finish()
}

// Received checks a message that the transport is about to hand to the handler, or the
// error in its place: io.EOF means that the client has sent all. It returns err, or the
// [*Refusal] that the handler must receive instead of the message; the stream ends then.
// Calls must not overlap.
func (s *OpenStream) Received(message any, err error) error {
	if s.guarded != nil && s.guarded.messages != nil {
		if refused := s.guarded.messages.received(message, err); refused != nil {
			return refused
		}
	}
	return err
}

// Sends checks whether the handler may send a message: with rules about the message it
// may not before the first one was received. It returns nil or a [*Refusal].
func (s *OpenStream) Sends() error {
	if s.guarded != nil && s.guarded.messages != nil {
		if refused := s.guarded.messages.sends(); refused != nil {
			return refused
		}
	}
	return nil
}
