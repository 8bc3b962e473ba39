package auth0grpc_test

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
)

// service answers every method. The trailer shows that it ran, and the subject.
type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func mark(ctx context.Context) error {
	subject := "nobody"
	if token, ok := auth0grpc.TokenFromContext(ctx); ok {
		subject = token.Subject()
	}
	return grpc.SetTrailer(ctx, metadata.Pairs("handled-for", subject))
}

func (service) EmptyCall(ctx context.Context, _ *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, mark(ctx)
}

func (service) UnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, mark(ctx)
}

func (service) CacheableUnaryCall(ctx context.Context, _ *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, mark(ctx)
}

func (service) UnimplementedCall(ctx context.Context, _ *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, mark(ctx)
}

func (service) StreamingOutputCall(_ *testgrpc.StreamingOutputCallRequest, stream testgrpc.TestService_StreamingOutputCallServer) error {
	return errors.Join(mark(stream.Context()), stream.Send(&testgrpc.StreamingOutputCallResponse{}))
}

func (service) StreamingInputCall(stream testgrpc.TestService_StreamingInputCallServer) error {
	return errors.Join(mark(stream.Context()), drain(stream), stream.SendAndClose(&testgrpc.StreamingInputCallResponse{}))
}

func (service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	return errors.Join(mark(stream.Context()), drain(stream), stream.Send(&testgrpc.StreamingOutputCallResponse{}))
}

func (service) HalfDuplexCall(stream testgrpc.TestService_HalfDuplexCallServer) error {
	return errors.Join(mark(stream.Context()), drain(stream), stream.Send(&testgrpc.StreamingOutputCallResponse{}))
}

func drain(stream grpc.ServerStream) error {
	for {
		if err := stream.RecvMsg(&testgrpc.Empty{}); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
