package auth0grpc_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
)

// handleStreams makes every streaming method run one handler. It records decisions, and
// streams expire by the clock of the fixture.
func handleStreams(handler func(grpc.ServerStream) error) option {
	return func(f *fixture, config *auth0grpc.Config) {
		withService(script{handler: handler})(f, config)
		recordDecisions(f, config)
		useTimers(f, config)
	}
}

// A script serves its handler as every streaming method.
type script struct {
	testgrpc.UnimplementedTestServiceServer
	handler func(grpc.ServerStream) error
}

func (script) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, mark(ctx)
}

func (h script) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	return h.handler(stream)
}

func (h script) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	return h.handler(stream)
}

func (h script) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	return h.handler(stream)
}

// open opens a stream with the authorization values, and for a method that takes
// one message sends it.
func (f *fixture) open(tb testing.TB, transport string, m method, authorization ...string) grpc.ClientStream {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	tb.Cleanup(cancel)
	for _, value := range authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	stream, err := f.conns[transport].NewStream(ctx, &m.desc, m.name)
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

func outcomes(all []auth0grpc.Decision) (names []string) {
	for _, d := range all {
		names = append(names, strings.TrimSuffix(string(d.Outcome)+" "+string(d.Reason), " "))
	}
	return names
}
