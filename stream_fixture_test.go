package auth0grpc_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A scripted is a fixture whose streaming methods all run one handler.
type scripted struct {
	*fixture
	timers  *timers
	handler func(grpc.ServerStream) error

	mu        sync.Mutex
	decisions []auth0grpc.Decision
}

// newScripted serves handler over every transport. change may be nil; options precede
// the options of the interceptor.
func newScripted(tb testing.TB, change func(*auth0grpc.Config), handler func(grpc.ServerStream) error, options ...grpc.ServerOption) *scripted {
	tb.Helper()
	s := &scripted{fixture: &fixture{conns: map[string]*grpc.ClientConn{}}, handler: handler}
	s.tenant, s.clock = newTenant(tb)
	s.timers = &timers{clock: s.clock}
	config := configFor(s.tenant, s.clock)
	config.OnDecision = func(_ context.Context, d auth0grpc.Decision) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.decisions = append(s.decisions, d)
	}
	if change != nil {
		change(&config)
	}
	s.guard = mustNew(tb, config)
	s.guard.SetTimer(s.timers.start)
	options = append([]grpc.ServerOption{grpc.ChainUnaryInterceptor(s.observeUnary), grpc.ChainStreamInterceptor(s.observeStream)}, options...)
	s.server = grpc.NewServer(append(options, s.guard.ServerOptions()...)...)
	testgrpc.RegisterTestServiceServer(s.server, script{s: s})
	s.conns["bufconn"] = auth0grpctest.Connect(tb, s.server, "")
	s.conns["tcp"] = s.dialTCP(tb)
	s.conns["ServeHTTP"] = s.dialHTTP(tb)
	return s
}

type script struct {
	testgrpc.UnimplementedTestServiceServer
	s *scripted
}

func (script) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, mark(ctx)
}

func (h script) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	return h.s.handler(stream)
}

func (h script) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	return h.s.handler(stream)
}

func (h script) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	return h.s.handler(stream)
}

// open opens a stream with the authorization values, and for a method that takes
// one message sends it.
func (s *scripted) open(tb testing.TB, transport string, m method, authorization ...string) grpc.ClientStream {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	tb.Cleanup(cancel)
	for _, value := range authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	stream, err := s.conns[transport].NewStream(ctx, &m.desc, m.name)
	if err != nil {
		tb.Fatal(err)
	}
	if !m.desc.ClientStreams {
		if err := errors.Join(stream.SendMsg(&testgrpc.StreamingOutputCallRequest{}), stream.CloseSend()); err != nil {
			tb.Fatal(err)
		}
	}
	return stream
}

// finish receives until the stream ends.
func finish(stream grpc.ClientStream, transport string) (r result) {
	for r.err == nil {
		r.err = stream.RecvMsg(&testgrpc.StreamingOutputCallResponse{})
	}
	if r.err == io.EOF {
		r.err = nil
	}
	r.header, _ = stream.Header()
	r.trailer, r.overHTTP = stream.Trailer(), transport == "ServeHTTP"
	return r
}

// told waits for the n-th decision and returns all.
func (s *scripted) told(tb testing.TB, n int) (all []auth0grpc.Decision) {
	tb.Helper()
	eventually(tb, "the hook is told", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		all = append([]auth0grpc.Decision(nil), s.decisions...)
		return len(all) >= n
	})
	return all
}

func outcomes(all []auth0grpc.Decision) (names []string) {
	for _, d := range all {
		names = append(names, strings.TrimSuffix(string(d.Outcome)+" "+string(d.Reason), " "))
	}
	return names
}
