package main

import (
	"context"

	"connectrpc.com/connect/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/auth0grpc/auth0grpc/examples/doors/doorsv1"
)

// connectMethods returns the methods of a gRPC service for Connect v2. Generated code of
// protoc-gen-connect-go does the same for handlers that are written for Connect.
func connectMethods(service doorsv1.OrdersServer) (methods []connect.Method) {
	descriptors := doorsv1.File_doors_proto.Services().ByName("Orders").Methods()
	for _, m := range doorsv1.Orders_ServiceDesc.Methods {
		methods = append(methods, connect.Method{
			Spec: specOf(descriptors.ByName(protoreflect.Name(m.MethodName))),
			Handler: func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
				response, err := m.Handler(service, ctx, stream.Receive, nil)
				if err != nil {
					return connectError(err)
				}
				return stream.Send(response)
			},
		})
	}
	for _, s := range doorsv1.Orders_ServiceDesc.Streams {
		methods = append(methods, connect.Method{
			Spec: specOf(descriptors.ByName(protoreflect.Name(s.StreamName))),
			Handler: func(ctx context.Context, _ connect.Spec, stream connect.ServerStream) error {
				return connectError(s.Handler(service, grpcStream{ctx, stream}))
			},
		})
	}
	return methods
}

func specOf(method protoreflect.MethodDescriptor) connect.Spec {
	spec := connect.Spec{Procedure: "/" + string(method.Parent().FullName()) + "/" + string(method.Name()), Schema: method}
	if method.IsStreamingClient() {
		spec.StreamType |= connect.StreamTypeClient
	}
	if method.IsStreamingServer() {
		spec.StreamType |= connect.StreamTypeServer
	}
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	spec.IdempotencyLevel = connect.IdempotencyLevel(options.GetIdempotencyLevel())
	return spec
}

// connectError returns the error of a gRPC handler as an error of Connect.
func connectError(err error) error {
	s, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	refused := connect.NewError(connect.Code(s.Code()), s.Message()).WithCause(err)
	for _, detail := range s.Proto().GetDetails() {
		refused = refused.WithDetail(&connect.ErrorDetail{Type: string(detail.MessageName()), Value: detail.GetValue()})
	}
	return refused
}

// A grpcStream is a stream of Connect for a gRPC handler. It sends no metadata.
type grpcStream struct {
	ctx    context.Context
	stream interface {
		Send(any) error
		Receive(any) error
	}
}

var _ grpc.ServerStream = grpcStream{}

func (s grpcStream) Context() context.Context   { return s.ctx }
func (s grpcStream) SendMsg(message any) error  { return s.stream.Send(message) }
func (s grpcStream) RecvMsg(message any) error  { return s.stream.Receive(message) }
func (grpcStream) SetHeader(metadata.MD) error  { return nil }
func (grpcStream) SendHeader(metadata.MD) error { return nil }
func (grpcStream) SetTrailer(metadata.MD)       {}
