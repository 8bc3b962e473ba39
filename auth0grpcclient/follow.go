package auth0grpcclient

import (
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const (
	streamTTLHeader = "auth0grpc-stream-ttl"

	// minFollowTTL is the shortest time for which it is worth to renew a stream ahead.
	minFollowTTL = 2 * time.Second
	// maxFollowLead bounds how long before its end a stream is renewed.
	maxFollowLead = time.Minute
	// A stream that the server ends within shortStream is followed by a pause, which
	// doubles up to maxFollowPause. After maxShortStreams in a row Follow gives up.
	shortStream     = time.Second
	maxFollowPause  = 10 * time.Second
	maxShortStreams = 6
)

// StreamTTL returns how long a server of package auth0grpc lets a stream run, from the
// header metadata of the stream. It counts from the time at which the server sent it. It
// reports false if the server sets no limit, or sends a malformed one. gRPC has the
// header once the first message is there.
func StreamTTL(header metadata.MD) (time.Duration, bool) {
	values := header.Get(streamTTLHeader)
	if len(values) != 1 {
		return 0, false
	}
	seconds, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil || seconds > math.MaxInt64/uint64(time.Second) {
		return 0, false
	}
	return time.Duration(seconds) * time.Second, true
}

// Follow receives the messages of a stream for longer than a token lasts, over as many
// streams as that takes. It calls handle for each message, in order. It returns nil when
// the server ends the stream without an error, and the error of any other end.
//
// open opens each stream, on a connection with the [Credentials.DialOptions] of c. last is
// the message after which the stream resumes: the last one that handle accepted, or nil
// for the first stream. The request tells the server so; without such a request messages
// are lost or repeated. ctx ends with the stream. A bidirectional stream serves as well:
// open sends its first message.
//
// Before the server's limit (see [StreamTTL]) Follow fetches a token that lasts longer,
// unless there is one, and opens the next stream with it. It discards the messages that
// are under way on the stream before; the next stream has them again. If the token endpoint
// gives no such token, the stream goes on to its end.
//
// Follow also opens the next stream when the server has ended one with the reason
// TOKEN_EXPIRED. After a stream of less than a second it waits for a second, and longer
// each time. It returns the error of the sixth such stream in a row.
//
// Follow returns each other error, a revocation included. The caller may call Follow again
// and let open resume. handle runs on the caller's goroutine; its error ends Follow.
func Follow[Res any](ctx context.Context, c *Credentials,
	open func(ctx context.Context, last *Res) (grpc.ServerStreamingClient[Res], error),
	handle func(*Res) error,
) error {
	var last *Res
	for short := 0; ; {
		opened := time.Now()
		err := followOne(ctx, c, &last, open, handle)
		switch {
		case errors.Is(err, errRenew):
			short = 0
			continue
		case !endedByExpiry(err):
			return err
		case time.Since(opened) >= shortStream:
			short = 0
			continue
		}
		if short++; short == maxShortStreams {
			return err
		}
		select {
		case <-time.After(min(time.Second<<(short-1), maxFollowPause)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// errRenew ends a stream before its time.
var errRenew = errors.New("auth0grpcclient: the stream is renewed")

// followOne follows one stream to its end. It returns nil for a regular end, and errRenew
// if the next stream has a token that lasts longer.
func followOne[Res any](ctx context.Context, c *Credentials, last **Res,
	open func(ctx context.Context, last *Res) (grpc.ServerStreamingClient[Res], error),
	handle func(*Res) error,
) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	stream, err := open(ctx, *last)
	if err != nil {
		return err
	}
	var renewed atomic.Bool
	for first := true; ; first = false {
		message, err := stream.Recv()
		if err != nil {
			switch {
			case err == io.EOF:
				return nil
			case renewed.Load():
				return errRenew
			}
			return err
		}
		if first {
			if header, err := stream.Header(); err == nil {
				if ttl, ok := StreamTTL(header); ok && ttl >= minFollowTTL {
					go c.renewAhead(ctx, ttl, func() { renewed.Store(true); leave() })
				}
			}
		}
		if err := handle(message); err != nil {
			return err
		}
		*last = message
	}
}

// renewAhead waits until it is time for the next stream, fetches a token for it, and calls
// renewed. While there is no token it tries again, each time at half of the time that is
// left. It returns when ctx ends, which is with the stream.
func (c *Credentials) renewAhead(ctx context.Context, ttl time.Duration, renewed func()) {
	lead := min(max(ttl/10, time.Second), maxFollowLead)
	end, wait := time.Now().Add(ttl), ttl-lead
	// exp and the header count whole seconds, so the same token can seem to last for
	// two seconds more than the stream. Half of ttl leaves room for other clocks.
	needed := max(ttl/2, lead+2*time.Second)
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		s, subject, err := c.tokens.tokenSource(ctx)
		if err == nil && s.outlast(ctx, s.now().Add(needed), subject) {
			renewed()
			return
		}
		if wait = time.Until(end) / 2; wait < lead/8 {
			return
		}
	}
}

// endedByExpiry reports whether the server ended a running stream at the end of its token.
// A refusal at the opening is none: the interceptor has repeated that call already.
func endedByExpiry(err error) bool {
	info := unauthenticatedInfo(err)
	return info.GetReason() == reasonTokenExpired && info.GetMetadata()[beforeHandlerKey] != "true"
}
