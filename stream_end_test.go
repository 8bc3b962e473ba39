package auth0grpc_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A counting wraps streams as outer interceptors do, with unlocked counters: a handler
// that has returned does not send.
type counting struct {
	grpc.ServerStream
	sent int
}

func (c *counting) SendMsg(m any) error {
	err := c.ServerStream.SendMsg(m)
	if err == nil {
		c.sent++
	}
	return err
}

// The handlers go on with all that a stream can do, on several goroutines, for a
// while after the end. Under -race.
func TestHandlerThatIgnoresTheEnd(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	for transport := range map[string]bool{"bufconn": true, "tcp": true, "ServeHTTP": true} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			var running sync.WaitGroup
			started := make(chan struct{}, 1)
			handler := func(stream grpc.ServerStream) error {
				running.Add(1)
				defer running.Done()
				started <- struct{}{}
				ctx := stream.Context()
				over := func() bool { return ctx.Err() != nil }
				var parts sync.WaitGroup
				parts.Go(func() {
					for again := 0; again < 20; {
						if err := stream.RecvMsg(&testgrpc.StreamingOutputCallRequest{}); err != nil {
							again++
						}
					}
				})
				for again := 0; again < 20; {
					_ = stream.SetHeader(metadata.Pairs("x-late", "1"))
					_ = stream.SendMsg(&testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: make([]byte, 100)}})
					_ = stream.SendHeader(metadata.Pairs("x-late", "2"))
					stream.SetTrailer(metadata.Pairs("x-late", "3"))
					_ = grpc.SetTrailer(ctx, metadata.Pairs("x-late", "4"))
					if over() {
						again++
					}
				}
				parts.Wait()
				return errors.New("after the end")
			}
			s := newFixture(t, handleStreams(handler), serverOptions(grpc.StatsHandler(new(countStats)), grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
				c := &counting{ServerStream: stream}
				err := handler(srv, c)
				_ = c.sent
				return err
			})))
			for i := range rounds {
				life := time.Duration(i+1) * time.Hour
				stream := s.open(t, transport, streamShapes[2], bearer(s.token(claims{"iat": today, "exp": today.Add(life)}))...)
				go func() {
					// A client that continues to send to a reset stream makes net/http
					// drop the connection now and then, regardless of the server.
					for n := 0; (n < 10 || transport != "ServeHTTP") && stream.SendMsg(&testgrpc.StreamingOutputCallRequest{}) == nil; n++ {
					}
				}()
				<-started
				<-time.After(time.Duration(i%5) * time.Millisecond)
				s.timers.expire(t, time.Hour)
				if reason, _ := auth0grpc.ReasonFromError(finish(stream, transport).err); reason != auth0grpc.ReasonTokenExpired {
					t.Fatalf("round %d: reason %q", i, reason)
				}
			}
			running.Wait()
			eventually(t, "the streams are forgotten", func() bool { return s.guard.Stats().OpenStreams == 0 })
		})
	}
}

type countStats struct{ sent, received atomic.Int64 }

func (*countStats) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (*countStats) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (*countStats) HandleConn(context.Context, stats.ConnStats) {}

func (c *countStats) HandleRPC(_ context.Context, s stats.RPCStats) {
	switch s.(type) {
	case *stats.OutPayload:
		c.sent.Add(1)
	case *stats.InPayload:
		c.received.Add(1)
	}
}

// Once the interceptor has returned, nothing that a handler begins reaches gRPC.
func TestEndedStreamIsDeaf(t *testing.T) {
	tenant, now := newTenant(t)
	guard := mustNew(t, configFor(tenant, now))
	ts := &timers{clock: now}
	guard.SetTimer(ts.start)
	md := metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders", "exp": today.Add(time.Minute)}))
	ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), md), &transportStream{method: streamShapes[2].name})
	var under recordedStream
	under.ctx = ctx
	guarded := make(chan grpc.ServerStream, 1)
	release := make(chan struct{})
	defer close(release)
	returned := make(chan error, 1)
	go func() {
		returned <- guard.StreamServerInterceptor()(nil, &under, &grpc.StreamServerInfo{FullMethod: streamShapes[2].name}, func(_ any, stream grpc.ServerStream) error {
			guarded <- stream
			<-release
			return nil
		})
	}()
	stream := <-guarded
	all := func() []error {
		stream.SetTrailer(metadata.Pairs("a", "b"))
		return []error{
			stream.SendMsg(nil), stream.RecvMsg(nil), stream.SendHeader(nil), stream.SetHeader(nil),
		}
	}
	if errs := errors.Join(all()...); errs != nil || under.calls.Load() != 5 {
		t.Fatalf("%v, %d calls came through, want 5", errs, under.calls.Load())
	}
	ts.expire(t, time.Minute)
	if err := <-returned; !errors.Is(err, auth0grpc.ErrInvalidToken) {
		t.Fatalf("returned %v", err)
	}
	for _, err := range all() {
		if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonTokenExpired {
			t.Errorf("after the end: %v", err)
		}
	}
	if n := under.calls.Load(); n != 5 {
		t.Errorf("%d calls came through after the end", n-5)
	}
}

// A recordedStream counts the calls of its methods.
type recordedStream struct {
	serverStream
	calls   atomic.Int64
	blocked chan struct{} // if not nil, SendMsg tells here and then waits for release
	release chan struct{}
}

func (r *recordedStream) SetHeader(metadata.MD) error { r.calls.Add(1); return nil }

func (r *recordedStream) SendHeader(metadata.MD) error { r.calls.Add(1); return nil }

func (r *recordedStream) SetTrailer(metadata.MD) { r.calls.Add(1) }

func (r *recordedStream) RecvMsg(any) error { r.calls.Add(1); return nil }

func (r *recordedStream) SendMsg(any) error {
	if r.blocked != nil {
		close(r.blocked)
		<-r.release
	}
	r.calls.Add(1)
	return nil
}

// A finalStream is like gRPC's own stream: a status unblocks blocked calls.
type finalStream struct {
	transportStream
	got     *status.Status
	release chan struct{}
}

func (s *finalStream) WriteStatus(got *status.Status) error {
	s.got = got
	close(s.release)
	return nil
}

// A handler that is blocked in sending is woken by the status, and the stream ends
// all the same where there is no such way.
func TestEndWakesTheHandler(t *testing.T) {
	tenant, now := newTenant(t)
	md := metadata.Pairs("authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
	run := func(transport grpc.ServerTransportStream, stream *recordedStream) error {
		guard := mustNew(t, configFor(tenant, now))
		stream.ctx = grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), md), transport)
		go func() {
			<-stream.blocked
			_ = guard.Revoke(context.Background(), auth0grpc.Revocation{Subject: auth0grpctest.Subject, IssuedBefore: today.Add(time.Second)})
		}()
		return guard.StreamServerInterceptor()(nil, stream, &grpc.StreamServerInfo{FullMethod: streamShapes[2].name}, func(_ any, stream grpc.ServerStream) error {
			return stream.SendMsg(nil)
		})
	}
	release := make(chan struct{})
	transport := &finalStream{release: release}
	stream := &recordedStream{blocked: make(chan struct{}), release: release}
	if reason, _ := auth0grpc.ReasonFromError(run(transport, stream)); reason != auth0grpc.ReasonTokenRevoked {
		t.Fatalf("returned %q", reason)
	}
	if n := stream.calls.Load(); n != 1 {
		t.Errorf("the interceptor returned while %d calls were under way", 1-n)
	}
	if transport.got.Code() != codes.Unauthenticated || transport.trailer.Get("www-authenticate")[0] != revoked.challenge {
		t.Errorf("status %v, trailer %v", transport.got, transport.trailer)
	}

	release = make(chan struct{})
	defer close(release)
	stream = &recordedStream{blocked: make(chan struct{}), release: release}
	if reason, _ := auth0grpc.ReasonFromError(run(&transportStream{}, stream)); reason != auth0grpc.ReasonTokenRevoked {
		t.Errorf("on another transport: %q", reason)
	}
}

// It is by a method of the streams in grpc-go's contexts that a stream ends under
// its handler. Should one of its versions have none, this says so.
func TestGRPCStreamsTakeAStatus(t *testing.T) {
	s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
		type statusWriter interface{ WriteStatus(*status.Status) error }
		if _, ok := grpc.ServerTransportStreamFromContext(stream.Context()).(statusWriter); !ok {
			t.Errorf("%T has no method WriteStatus", grpc.ServerTransportStreamFromContext(stream.Context()))
		}
		return nil
	}))
	for transport := range s.conns {
		finish(s.open(t, transport, streamShapes[2], bearer(s.token(nil))...), transport)
	}
}

// The handler's own end, the expiry and a revocation meet; one of them counts, for all
// parties.
func TestEndsThatMeet(t *testing.T) {
	started := make(chan chan struct{}, 1)
	s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
		release := make(chan struct{})
		started <- release
		<-release
		return nil
	}))
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	for i := range rounds {
		token := s.token(claims{"iat": today, "exp": today.Add(time.Duration(i+1) * time.Hour), "jti": fmt.Sprint(i)})
		stream := s.open(t, "bufconn", streamShapes[2], bearer(token)...)
		eventually(t, "a timer runs", func() bool { _, running := s.timers.asked(); return running == 1 })
		go close(<-started)
		go s.guard.Revoke(context.Background(), auth0grpc.Revocation{TokenID: fmt.Sprint(i)})
		s.timers.Advance(time.Hour)
		got := finish(stream, "bufconn")
		reason, _ := auth0grpc.ReasonFromError(got.err)
		if got.err != nil && reason != auth0grpc.ReasonTokenExpired && reason != auth0grpc.ReasonTokenRevoked {
			t.Fatalf("%v", got.err)
		}
		all := s.decisions.told(t, 2*i+2)
		if last := all[2*i+1]; len(all) != 2*i+2 || last.Outcome != auth0grpc.OutcomeEnded || last.Reason != reason {
			t.Fatalf("client %q, hook %v", reason, outcomes(all[2*i:]))
		}
	}
}

// A client that goes, and a server that stops, end the stream as ever.
func TestStreamEndsWithItsClient(t *testing.T) {
	cause := make(chan error, 1)
	s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
		<-stream.Context().Done()
		cause <- context.Cause(stream.Context())
		return nil
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.server.Serve(listener)
	conn := dial(t, listener.Addr().String(), insecure.NewCredentials())
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.token(nil))
	if _, err := conn.NewStream(ctx, &streamShapes[2].desc, streamShapes[2].name); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stream is open", func() bool { return s.guard.Stats().OpenStreams == 1 })
	conn.Close()
	if err := <-cause; err != context.Canceled {
		t.Errorf("cause %v", err)
	}
	eventually(t, "the stream is forgotten", func() bool { return s.guard.Stats().OpenStreams == 0 })
}
