package auth0grpcclient

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// StreamClientInterceptor returns the interceptor that opens refused streams again; see
// the package documentation. [Credentials.DialOptions] installs it.
//
// The interceptor notices the refusal when the program receives the first message, and
// must then send again the messages sent so far. It keeps one message for that, by
// reference, until the first response; gRPC forbids changing a sent message anyway.
// After the second message a refusal is final. Header does not open a stream again: it
// may return the header of the refusal.
func (c *Credentials) StreamClientInterceptor() grpc.StreamClientInterceptor {
	return c.streamInterceptor(false)
}

// streamInterceptor takes whether c is known to be installed on the connection.
func (c *Credentials) streamInterceptor(installed bool) grpc.StreamClientInterceptor {
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		call, err := c.newCall(ctx, cc, installed, opts)
		if err != nil {
			return nil, err
		}
		s := &stream{call: call}
		s.open = func() (grpc.ClientStream, error) {
			return streamer(s.call.ctx, desc, cc, method, opts...)
		}
		inner, err := s.open()
		if err != nil {
			return nil, err
		}
		s.inner.Store(&inner)
		return s, nil
	}
}

// A stream replaces the stream inside it when that one is refused at its opening.
type stream struct {
	call *call
	open func() (grpc.ClientStream, error)

	inner    atomic.Pointer[grpc.ClientStream] // set by RecvMsg alone, under mu
	settled  atomic.Bool                       // inner is there to stay
	answered bool                              // the server let it in; RecvMsg's own

	mu     sync.Mutex // between sending and replacing, until settled
	sent   bool       // the first message
	first  any
	closed bool // CloseSend was called
}

func (s *stream) stream() grpc.ClientStream { return *s.inner.Load() }

func (s *stream) Header() (metadata.MD, error) { return s.stream().Header() }
func (s *stream) Trailer() metadata.MD         { return s.stream().Trailer() }
func (s *stream) Context() context.Context     { return s.stream().Context() }

func (s *stream) SendMsg(m any) error {
	if s.settled.Load() {
		return s.stream().SendMsg(m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent { // this is the second: no way back from here
		s.settled.Store(true)
		s.first = nil
		return s.stream().SendMsg(m)
	}
	s.sent, s.first = true, m
	err := s.stream().SendMsg(m)
	if err == io.EOF && !s.settled.Load() {
		// The stream is over, maybe refused; RecvMsg finds out and may send m
		// again. gRPC itself does not report it where only one message is sent.
		return nil
	}
	return err
}

func (s *stream) CloseSend() error {
	if s.settled.Load() {
		return s.stream().CloseSend()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.stream().CloseSend()
}

func (s *stream) RecvMsg(m any) error {
	for {
		inner := s.stream()
		err := inner.RecvMsg(m)
		if s.answered && err == nil {
			return nil
		}
		s.rememberNonce(inner, err)
		if s.answered {
			return err
		}
		if err == nil || err == io.EOF {
			s.accept()
			return err
		}
		if shouldRetry, failure := s.reopen(err); !shouldRetry {
			return failure
		}
	}
}

// accept notes that the stream was let in. It does not wait for mu: a server may
// answer before it reads, and SendMsg may hold mu until it reads.
func (s *stream) accept() {
	s.answered = true
	s.settled.Store(true)
	if s.mu.TryLock() {
		s.first = nil
		s.mu.Unlock()
	}
}

// rememberNonce looks for a nonce where that cannot block: the header is there after the
// first message, the trailer after the last.
func (s *stream) rememberNonce(inner grpc.ClientStream, err error) {
	if s.call.credentials.prover == nil {
		return
	}
	header, _ := inner.Header()
	var trailer metadata.MD
	if err != nil {
		trailer = inner.Trailer()
	}
	s.call.rememberNonce(header, trailer)
}

// reopen replaces a stream that ended with err, if another attempt is worthwhile and
// no message is lost. Otherwise it returns the error for the caller. If it is too
// late for this stream, the new token is fetched for the next one.
func (s *stream) reopen(err error) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.call.shouldRetry(err) || s.settled.Load() {
		s.settled.Store(true)
		return false, err
	}
	next, failure := s.open()
	if failure == nil {
		s.inner.Store(&next)
		failure = s.replay(next)
	}
	if failure != nil {
		s.settled.Store(true)
	}
	return failure == nil, failure
}

// replay brings a new stream to where the old one was. The caller holds mu.
func (s *stream) replay(next grpc.ClientStream) error {
	if s.sent {
		if err := next.SendMsg(s.first); err != nil && err != io.EOF { // EOF: see RecvMsg
			return err
		}
	}
	if s.closed {
		return next.CloseSend()
	}
	return nil
}
