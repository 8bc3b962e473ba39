package auth0grpc_test

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

var revoked = invalid("TOKEN_REVOKED", "the access token has been revoked")

var streamShapes = shapes[1:]

// handlerStates are states of a handler in which its stream has to end all the same.
var handlerStates = []struct {
	name  string
	sends bool // the header is on its way already
	do    func(stream grpc.ServerStream, release <-chan struct{}) error
}{
	{"blocked in Recv", false, func(stream grpc.ServerStream, _ <-chan struct{}) error {
		for {
			if err := stream.RecvMsg(&testgrpc.StreamingInputCallRequest{}); err != nil {
				return err
			}
		}
	}},
	{"blocked in Send", true, func(stream grpc.ServerStream, _ <-chan struct{}) error {
		body := &testgrpc.StreamingOutputCallResponse{Payload: &testgrpc.Payload{Body: make([]byte, 32<<10)}}
		for {
			if err := stream.SendMsg(body); err != nil {
				return err
			}
		}
	}},
	{"computing", false, func(_ grpc.ServerStream, release <-chan struct{}) error {
		for {
			select {
			case <-release:
				return errors.New("the stream has ended already")
			default:
				runtime.Gosched()
			}
		}
	}},
	{"idle", false, func(stream grpc.ServerStream, _ <-chan struct{}) error {
		<-stream.Context().Done()
		return context.Cause(stream.Context())
	}},
}

// CVE-2022-39340 and others checked a stream only once; their streams outlived their
// tokens by hours.
func TestStreamEndsWithItsToken(t *testing.T) {
	for _, doing := range handlerStates {
		for _, transport := range []string{"bufconn", "tcp", "ServeHTTP"} {
			for _, m := range streamShapes {
				if doing.name == "blocked in Recv" && !m.desc.ClientStreams || doing.name == "blocked in Send" && !m.desc.ServerStreams {
					continue
				}
				t.Run(doing.name+"/"+transport+m.name, func(t *testing.T) {
					t.Parallel()
					release, started := make(chan struct{}), make(chan context.Context, 1)
					ended := make(chan error, 1)
					s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
						started <- stream.Context()
						err := doing.do(stream, release)
						ended <- err
						return err
					}))
					stop := sync.OnceFunc(func() { close(release) })
					defer stop()
					token := s.token(claims{"exp": today.Add(time.Minute)})
					stream := s.open(t, transport, m, bearer(token)...)
					ctx := <-started
					if doing.sends {
						<-time.After(50 * time.Millisecond) // until the window is full; if not, another case is tested
					}
					if ctx.Err() != nil {
						t.Fatalf("ended before its time: %v", context.Cause(ctx))
					}
					s.timers.expire(t, time.Minute)
					<-ctx.Done()
					cause := context.Cause(ctx)
					if reason, _ := auth0grpc.ReasonFromError(cause); !errors.Is(cause, auth0grpc.ErrInvalidToken) || reason != auth0grpc.ReasonTokenExpired {
						t.Errorf("cause in the handler = %v", cause)
					}
					left := func() {
						if doing.name == "computing" {
							return
						}
						if err := <-ended; err != cause {
							t.Errorf("the handler was left with %v, want the cause %v", err, cause)
						}
					}
					// Behind ServeHTTP all writing is done by one goroutine of net/http, which
					// a full window blocks until the client reads or goes: gRPC can neither
					// send a status nor call its handler back before.
					late := doing.sends && transport == "ServeHTTP"
					if !late {
						left()
					}
					got := finish(stream, transport)
					if late {
						left()
					}
					stop() // the client knows already; interceptors learn it when the handler returns
					eventually(t, "the outer interceptor is told", func() bool {
						s.mu.Lock()
						defer s.mu.Unlock()
						got.outer = s.outer
						return got.outer != nil
					})
					if doing.sends { // the header has left already, without a challenge
						if got.header.Get("www-authenticate") != nil || got.header.Get(auth0grpc.StreamTTLHeader) == nil {
							t.Errorf("header %v", got.header)
						}
						got.header = metadata.Pairs("www-authenticate", expired.challenge)
					}
					want := expired
					want.late = true
					want.check(t, got, token)
				})
			}
		}
	}
}

// figuresEnv has tests enforce the times that they measure. That takes a quiet machine.
const figuresEnv = "AUTH0GRPC_TEST_FIGURES"

// Tokens of a real third of a second, on the real clock. If this machine does not open
// the stream in that time, the next token lives twice as long.
func TestStreamEndsInTime(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	config := configFor(tenant, &clock{})
	config.Now = nil
	guard := mustNew(t, config)
	server := grpc.NewServer(guard.ServerOptions()...)
	h := script{handler: func(stream grpc.ServerStream) error { return drain(stream) }}
	testgrpc.RegisterTestServiceServer(server, h)
	conn := auth0grpctest.Connect(t, server, "")
	if err := guard.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, m := range streamShapes[1:] {
		t.Run(m.name, func(t *testing.T) {
			for life := 350 * time.Millisecond; ; life *= 2 {
				expiry := time.Now().Add(life)
				token := tenant.Token(claims{"scope": "read:orders", "exp": float64(expiry.UnixMicro()) / 1e6})
				ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
				stream, err := conn.NewStream(ctx, &m.desc, m.name)
				if err != nil {
					t.Fatal(err)
				}
				got := finish(stream, "")
				late := time.Since(expiry)
				if reason, _ := auth0grpc.ReasonFromError(got.err); reason != auth0grpc.ReasonTokenExpired || late < -time.Millisecond {
					t.Fatalf("ended %v after expiry: %v", late, got.err)
				}
				if auth0grpc.RefusedBeforeHandler(got.err) {
					if life > time.Minute {
						t.Fatalf("no stream opens within %v", life)
					}
					continue
				}
				const bound = 100 * time.Millisecond
				t.Logf("ended %v after expiry (bound %v)", late, bound)
				if os.Getenv(figuresEnv) != "" && late > bound {
					t.Errorf("ended %v after expiry, want at most %v", late, bound)
				}
				return
			}
		})
	}
}

// Streams with their own deadlines share a timer, and each ends at its time, for every
// order of opening and after others have left.
func TestStreamsEndInTurn(t *testing.T) {
	s := newFixture(t, handleStreams(drain), func(_ *fixture, c *auth0grpc.Config) {
		c.Methods[streamShapes[1].name] = auth0grpc.Scopes("read:orders").Streams(auth0grpc.IgnoreExpiry())
	})
	open := func(m method, minutes int) grpc.ClientStream {
		n := s.guard.Stats().OpenStreams
		stream := s.open(t, "tcp", m, bearer(s.token(claims{"exp": today.Add(time.Duration(minutes) * time.Minute)}))...)
		eventually(t, "the stream is open", func() bool { return s.guard.Stats().OpenStreams == n+1 })
		return stream
	}
	runsOn := open(streamShapes[1], 1)
	byMinute := map[int]grpc.ClientStream{}
	for _, minutes := range []int{30, 10, 40, 20, 60, 50} {
		byMinute[minutes] = open(streamShapes[2], minutes)
	}
	left := 7
	gone := func(what string) {
		t.Helper()
		left--
		eventually(t, what, func() bool { return s.guard.Stats().OpenStreams == left })
	}
	_ = byMinute[10].CloseSend() // the next to end leaves by itself
	finish(byMinute[10], "tcp")
	gone("the first has left")
	for _, minutes := range []int{20, 30, 40, 50, 60} {
		s.timers.expire(t, today.Add(time.Duration(minutes)*time.Minute-time.Second).Sub(s.clock.Now()))
		eventually(t, "the timer is set again", func() bool { _, running := s.timers.asked(); return running == 1 })
		if n := s.guard.Stats().OpenStreams; n != left {
			t.Errorf("%d open streams a second before minute %d, want %d", n, minutes, left)
		}
		s.timers.expire(t, time.Second)
		if reason, _ := auth0grpc.ReasonFromError(finish(byMinute[minutes], "tcp").err); reason != auth0grpc.ReasonTokenExpired {
			t.Errorf("minute %d: reason %q", minutes, reason)
		}
		gone("it has ended")
	}
	if _, running := s.timers.asked(); running != 0 {
		t.Errorf("%d timers run for a stream that runs on", running)
	}
	_ = runsOn.CloseSend()
	if got := finish(runsOn, "tcp"); status.Code(got.err) == codes.Unauthenticated {
		t.Errorf("%v", got.err)
	}
}

// A timer runs on the monotonic clock; the wall clock may have been set back
// under it, and then the token is still good.
func TestClockSetBack(t *testing.T) {
	s := newFixture(t, handleStreams(drain))
	stream := s.open(t, "tcp", streamShapes[2], bearer(s.token(claims{"exp": today.Add(time.Hour)}))...)
	eventually(t, "a timer runs", func() bool { _, running := s.timers.asked(); return running == 1 })
	s.clock.Advance(-10 * time.Minute)
	s.timers.fireAll()
	eventually(t, "it is armed again", func() bool { asked, _ := s.timers.asked(); return len(asked) == 2 })
	asked, running := s.timers.asked()
	if diff := cmp.Diff([]time.Duration{time.Hour, 70 * time.Minute}, asked); diff != "" || running != 1 {
		t.Errorf("%d timers running; (-want +got):\n%s", running, diff)
	}
	s.timers.Advance(70 * time.Minute)
	if reason, _ := auth0grpc.ReasonFromError(finish(stream, "tcp").err); reason != auth0grpc.ReasonTokenExpired {
		t.Errorf("reason %q", reason)
	}
}

// After the end of a stream, for any cause, this package keeps no resources for it.
// While it is open there is no goroutine except gRPC's own, for any number of messages,
// and one timer for all streams.
func TestNothingOutlivesAStream(t *testing.T) {
	s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
		for {
			var m testgrpc.StreamingOutputCallRequest
			switch err := stream.RecvMsg(&m); {
			case err == io.EOF:
				return nil
			case err != nil:
				return err
			case m.ResponseStatus != nil:
				return status.Error(codes.Aborted, "as asked")
			}
			if err := stream.SendMsg(&testgrpc.StreamingOutputCallResponse{}); err != nil {
				return err
			}
		}
	}))
	token := bearer(s.token(claims{"exp": today.Add(time.Hour)}))
	before := goroutines(t)
	const streams = 20
	ends := []struct {
		name string
		end  func(stream grpc.ClientStream)
	}{
		{"by the client", func(stream grpc.ClientStream) { _ = stream.CloseSend() }},
		{"by the handler", func(stream grpc.ClientStream) {
			_ = stream.SendMsg(&testgrpc.StreamingOutputCallRequest{ResponseStatus: &testgrpc.EchoStatus{}})
		}},
		{"by cancellation", nil},
		{"by a revocation", func(grpc.ClientStream) {
			_ = s.guard.Revoke(context.Background(), auth0grpc.Revocation{Subject: auth0grpctest.Subject, IssuedBefore: today.Add(time.Second)})
		}},
	}
	for _, test := range ends {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "authorization", token[0]))
			defer cancel()
			var open []grpc.ClientStream
			earlier, _ := s.timers.asked()
			for range streams {
				stream, err := s.conns["tcp"].NewStream(ctx, &streamShapes[2].desc, streamShapes[2].name)
				if err != nil {
					t.Fatal(err)
				}
				open = append(open, stream)
				for range 50 {
					if err := errors.Join(stream.SendMsg(&testgrpc.StreamingOutputCallRequest{}), stream.RecvMsg(&testgrpc.StreamingOutputCallResponse{})); err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := goroutines(t) - before; n != streams { // gRPC's own, which call us
				t.Errorf("%d goroutines for %d streams", n, streams)
			}
			if asked, running := s.timers.asked(); len(asked)-len(earlier) != 1 || running != 1 {
				t.Errorf("%d timers, %d running, for %d streams", len(asked)-len(earlier), running, streams)
			}
			if n := s.guard.Stats().OpenStreams; n != streams {
				t.Errorf("Stats().OpenStreams = %d", n)
			}
			if test.end == nil {
				cancel()
			}
			for _, stream := range open {
				if test.end != nil {
					test.end(stream)
				}
				finish(stream, "tcp")
			}
			eventually(t, "goroutines, timers and entries are gone", func() bool {
				_, running := s.timers.asked()
				return goroutines(t) == before && running == 0 && s.guard.Stats().OpenStreams == 0
			})
		})
	}
}

// A stream without an expiring token runs on gRPC's own goroutine and stream.
func TestUnguardedCallsPayNothing(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Methods = map[string]auth0grpc.Rule{
		unaryCall:            auth0grpc.Authenticated(),
		streamShapes[0].name: auth0grpc.Public(),
		streamShapes[1].name: auth0grpc.Optional(),
	}
	guard := mustNew(t, config)
	guard.SetTimer(func(time.Duration, func()) interface{ Stop() bool } {
		t.Error("a timer for a call that needs none")
		return nil
	})
	md := metadata.Pairs("authorization", "Bearer "+tenant.Token(nil))
	ctx := grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), md), &transportStream{method: unaryCall})
	_, err := guard.UnaryServerInterceptor()(ctx, nil, &grpc.UnaryServerInfo{FullMethod: unaryCall}, func(context.Context, any) (any, error) {
		if n := guard.Stats().OpenStreams; n != 0 {
			t.Errorf("%d streams during a unary call", n)
		}
		return nil, nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, m := range streamShapes[:2] {
		ctx := grpc.NewContextWithServerTransportStream(t.Context(), &transportStream{method: m.name})
		given := serverStream{ctx: ctx}
		err := guard.StreamServerInterceptor()(nil, given, &grpc.StreamServerInfo{FullMethod: m.name}, func(_ any, stream grpc.ServerStream) error {
			if stream != grpc.ServerStream(given) {
				t.Errorf("%s: the stream was wrapped", m.name)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
