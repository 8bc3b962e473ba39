package auth0grpc_test

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

// A method is one of the test service, with its shape.
type method struct {
	name string // the full method
	desc grpc.StreamDesc
}

// shapes has one method for each way to call.
var shapes = []method{
	{unaryCall, grpc.StreamDesc{}},
	{testgrpc.TestService_StreamingOutputCall_FullMethodName, grpc.StreamDesc{ServerStreams: true}},
	{testgrpc.TestService_StreamingInputCall_FullMethodName, grpc.StreamDesc{ClientStreams: true}},
	{testgrpc.TestService_FullDuplexCall_FullMethodName, grpc.StreamDesc{ClientStreams: true, ServerStreams: true}},
}

// A result is the client's view of a call, and outer the view of the interceptor
// outside ours.
type result struct {
	header, trailer metadata.MD
	err             error
	outer           error
	overHTTP        bool
}

// call calls a method of any shape with the authorization values.
func (f *fixture) call(ctx context.Context, transport string, m method, authorization ...string) result {
	f.sawError(nil)
	for _, value := range authorization {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r := exchange(ctx, f.conns[transport], m)
	r.overHTTP = transport == "ServeHTTP"
	f.mu.Lock()
	defer f.mu.Unlock()
	r.outer = f.outer
	return r
}

// exchange sends one message and receives all.
func exchange(ctx context.Context, conn *grpc.ClientConn, m method) (r result) {
	stream, err := conn.NewStream(ctx, &m.desc, m.name)
	if err != nil {
		return result{err: err}
	}
	// The error of SendMsg is io.EOF where the call has ended already; RecvMsg
	// then has the status.
	_ = stream.SendMsg(&testgrpc.Empty{})
	_ = stream.CloseSend()
	for {
		if r.err = stream.RecvMsg(&testgrpc.Empty{}); r.err != nil || !m.desc.ServerStreams {
			break
		}
	}
	if r.err == io.EOF {
		r.err = nil
	}
	r.header, _ = stream.Header()
	r.trailer = stream.Trailer()
	return r
}
