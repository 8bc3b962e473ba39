package auth0grpc_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/auth0grpc/auth0grpc"
)

// ordersFile describes a service with a method of each shape. Every method takes an
// OrderRequest, which has a field of each kind.
var ordersFile = func() protoreflect.FileDescriptor {
	const text = `
		name: "orders/v1/orders.proto" package: "orders.v1" syntax: "proto3"
		message_type {
			name: "OrderRequest"
			field { name: "order_id" json_name: "orderId" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
			field { name: "org_id" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
			field { name: "customer" number: 3 type: TYPE_MESSAGE type_name: ".orders.v1.Customer" label: LABEL_OPTIONAL }
			field { name: "number" number: 4 type: TYPE_INT64 label: LABEL_OPTIONAL }
			field { name: "serial" number: 5 type: TYPE_FIXED32 label: LABEL_OPTIONAL }
			field { name: "ids" number: 6 type: TYPE_STRING label: LABEL_REPEATED }
			field { name: "items" number: 7 type: TYPE_MESSAGE type_name: ".orders.v1.Customer" label: LABEL_REPEATED }
			field { name: "nickname" number: 8 type: TYPE_STRING label: LABEL_OPTIONAL proto3_optional: true oneof_index: 1 }
			field { name: "by_name" number: 9 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }
			field { name: "chunk" number: 10 type: TYPE_BYTES label: LABEL_OPTIONAL oneof_index: 0 }
			field { name: "labels" number: 11 type: TYPE_MESSAGE type_name: ".orders.v1.OrderRequest.LabelsEntry" label: LABEL_REPEATED }
			field { name: "urgent" number: 12 type: TYPE_BOOL label: LABEL_OPTIONAL }
			oneof_decl { name: "body" }
			oneof_decl { name: "_nickname" }
			nested_type {
				name: "LabelsEntry" options { map_entry: true }
				field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
				field { name: "value" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
			}
		}
		message_type {
			name: "Customer"
			field { name: "id" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
			field { name: "tags" number: 2 type: TYPE_STRING label: LABEL_REPEATED }
		}
		message_type {
			name: "Stranger"
			field { name: "org_id" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
		}
		service {
			name: "Orders"
			method { name: "Get" input_type: ".orders.v1.OrderRequest" output_type: ".orders.v1.OrderRequest" }
			method { name: "List" input_type: ".orders.v1.OrderRequest" output_type: ".orders.v1.OrderRequest" server_streaming: true }
			method { name: "Upload" input_type: ".orders.v1.OrderRequest" output_type: ".orders.v1.OrderRequest" client_streaming: true }
			method { name: "Watch" input_type: ".orders.v1.OrderRequest" output_type: ".orders.v1.OrderRequest" client_streaming: true server_streaming: true }
		}`
	described := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(text), described); err != nil {
		panic(err)
	}
	file, err := protodesc.NewFile(described, protoregistry.GlobalFiles)
	if err == nil {
		err = protoregistry.GlobalFiles.RegisterFile(file)
	}
	if err != nil {
		panic(err)
	}
	return file
}()

const ordersService = "/orders.v1.Orders/"

// orderShapes has the methods of the service.
var orderShapes = []method{
	{ordersService + "Get", grpc.StreamDesc{}},
	{ordersService + "List", grpc.StreamDesc{ServerStreams: true}},
	{ordersService + "Upload", grpc.StreamDesc{ClientStreams: true}},
	{ordersService + "Watch", grpc.StreamDesc{ClientStreams: true, ServerStreams: true}},
}

// order returns an OrderRequest from its text form, as in `order_id: "7"`.
func order(tb testing.TB, text string) proto.Message {
	tb.Helper()
	m := newOrder()
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return m
}

func newOrder() proto.Message {
	return dynamicpb.NewMessage(ordersFile.Messages().ByName("OrderRequest"))
}

// An ordersServer counts the messages that its handlers receive, and answers each.
type ordersServer struct {
	mu       sync.Mutex
	received int
	// handle runs in place of the handlers of streams, if it is set.
	handle func(grpc.ServerStream) error
	// unary runs in the handler of Get, if it is set.
	unary func(context.Context) error
}

// taken returns the number of messages that handlers have received, and resets it.
func (s *ordersServer) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.received
	s.received = 0
	return n
}

func (s *ordersServer) take() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received++
}

// serve answers each message that it receives.
func (s *ordersServer) serve(stream grpc.ServerStream, answerEach bool) error {
	if s.handle != nil {
		return s.handle(stream)
	}
	for {
		if err := stream.RecvMsg(newOrder()); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		s.take()
		if answerEach {
			if err := stream.SendMsg(newOrder()); err != nil {
				return err
			}
		}
	}
	if !answerEach {
		return stream.SendMsg(newOrder())
	}
	return nil
}

func (s *ordersServer) desc() *grpc.ServiceDesc {
	get := func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		request := newOrder()
		if err := decode(request); err != nil {
			return nil, err
		}
		return interceptor(ctx, request, &grpc.UnaryServerInfo{Server: srv, FullMethod: ordersService + "Get"}, func(ctx context.Context, _ any) (any, error) {
			s.take()
			if s.unary != nil {
				return newOrder(), s.unary(ctx)
			}
			return newOrder(), nil
		})
	}
	return &grpc.ServiceDesc{
		ServiceName: "orders.v1.Orders", HandlerType: (*any)(nil), Metadata: ordersFile.Path(),
		Methods: []grpc.MethodDesc{{MethodName: "Get", Handler: get}},
		Streams: []grpc.StreamDesc{
			{StreamName: "List", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error { return s.serve(stream, true) }},
			{StreamName: "Upload", ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error { return s.serve(stream, false) }},
			{StreamName: "Watch", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error { return s.serve(stream, true) }},
		},
	}
}

// serveOrders replaces the test service with the orders, by one rule. It records
// decisions.
func serveOrders(rule auth0grpc.Rule) option {
	return func(f *fixture, config *auth0grpc.Config) {
		f.orders, f.transports = new(ordersServer), []string{"bufconn"}
		f.register = func(server *grpc.Server) { server.RegisterService(f.orders.desc(), nil) }
		config.Methods = map[string]auth0grpc.Rule{ordersService + "*": rule}
		recordDecisions(f, config)
	}
}

// send calls a method with messages and returns the number of answers and the error.
func (f *fixture) send(ctx context.Context, m method, token string, messages ...proto.Message) (answers int, err error) {
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := f.conns["bufconn"].NewStream(ctx, &m.desc, m.name)
	if err != nil {
		return 0, err
	}
	for _, message := range messages {
		if err := stream.SendMsg(message); err != nil {
			break // io.EOF: RecvMsg has the status
		}
	}
	if err := stream.CloseSend(); err != nil {
		return 0, err
	}
	for {
		err := stream.RecvMsg(newOrder())
		if errors.Is(err, io.EOF) {
			return answers, nil
		}
		if err != nil {
			return answers, err
		}
		answers++
		if !m.desc.ServerStreams {
			return answers, nil
		}
	}
}
