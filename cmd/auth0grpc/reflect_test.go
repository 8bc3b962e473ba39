package main

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

type reflectionServer = reflectionv1.ServerReflectionServer

// registerReflection registers a service under the name of a version of reflection.
func registerReflection(server *grpc.Server, version string, service reflectionServer) {
	handler := func(_ any, stream grpc.ServerStream) error {
		return service.ServerReflectionInfo(&grpc.GenericServerStream[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]{ServerStream: stream})
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "grpc.reflection." + version + ".ServerReflection", HandlerType: (*any)(nil),
		Streams:  []grpc.StreamDesc{{StreamName: "ServerReflectionInfo", Handler: handler, ServerStreams: true, ClientStreams: true}},
		Metadata: "grpc/reflection/" + version + "/reflection.proto",
	}, nil)
}

// listen serves until the end of the test and returns the address.
func listen(t *testing.T, server *grpc.Server) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// Servers of older versions of gRPC have reflection v1alpha alone.
func TestReflectionV1Alpha(t *testing.T) {
	for name, options := range map[string][]grpc.ServerOption{
		"v1 is not implemented": nil,
		"v1 is not listed": {grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if strings.Contains(info.FullMethod, "v1alpha") {
				return handler(srv, stream)
			}
			return status.Error(codes.PermissionDenied, "not listed")
		}), grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return nil })},
	} {
		t.Run(name, func(t *testing.T) {
			server := grpc.NewServer(options...)
			registerReflection(server, "v1alpha", reflection.NewServerV1(reflection.ServerOptions{Services: server}))
			address := listen(t, server)
			document := file(t, `{"methods": {"/grpc.reflection.v1alpha.ServerReflection/*": {"public": true}}}`)
			test := statusTest{"", []string{"-policy", document, "-reflect", address, "-insecure-plaintext"}, 0, "v1alpha"}
			test.run(t, nil)
		})
	}
}

// answers answers each request of a stream with the next of its values, an error, or
// a response.
type answers []any

func (a answers) ServerReflectionInfo(stream grpc.BidiStreamingServer[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]) error {
	for _, answer := range a {
		if _, err := stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		}
		switch answer := answer.(type) {
		case error:
			return answer
		case *reflectionv1.ServerReflectionResponse:
			if err := stream.Send(answer); err != nil {
				return err
			}
		}
	}
	return nil
}

func serviceList(names ...string) *reflectionv1.ServerReflectionResponse {
	list := &reflectionv1.ListServiceResponse{}
	for _, name := range names {
		list.Service = append(list.Service, &reflectionv1.ServiceResponse{Name: name})
	}
	return &reflectionv1.ServerReflectionResponse{MessageResponse: &reflectionv1.ServerReflectionResponse_ListServicesResponse{ListServicesResponse: list}}
}

func fileResponse(data ...[]byte) *reflectionv1.ServerReflectionResponse {
	return &reflectionv1.ServerReflectionResponse{MessageResponse: &reflectionv1.ServerReflectionResponse_FileDescriptorResponse{
		FileDescriptorResponse: &reflectionv1.FileDescriptorResponse{FileDescriptorProto: data},
	}}
}

func TestReflectionFaults(t *testing.T) {
	data, err := proto.Marshal(newFile("a"))
	if err != nil {
		t.Fatal(err)
	}
	broken := newFile("b")
	broken.Service[0].Method[0].InputType = proto.String("?")
	invalid, err := proto.Marshal(broken)
	if err != nil {
		t.Fatal(err)
	}
	refusal := &reflectionv1.ServerReflectionResponse{MessageResponse: &reflectionv1.ServerReflectionResponse_ErrorResponse{
		ErrorResponse: &reflectionv1.ErrorResponse{ErrorCode: 5, ErrorMessage: "no such symbol"},
	}}
	for _, test := range []struct {
		name    string
		answers answers
		status  int
		says    string
	}{
		{"complete", answers{serviceList("a.S"), fileResponse(data)}, 1, "/a.S/Do is registered but has no row"},
		{"list fails", answers{status.Error(codes.Internal, "broken")}, 2, "v1.ServerReflection/ServerReflectionInfo: rpc error: code = Internal desc = broken"},
		{"list is refused", answers{refusal}, 2, `the server answers 5 "no such symbol"`},
		{"stream ends early", answers{serviceList("a.S")}, 2, "a.S: EOF"},
		{"symbol is unknown", answers{serviceList("a.S"), refusal}, 2, `a.S: the server answers 5 "no such symbol"`},
		{"not a file", answers{serviceList("a.S"), fileResponse([]byte("\xff"))}, 2, "a.S: not a file descriptor: proto:"},
		{"another file", answers{serviceList("a.T"), fileResponse(data)}, 2, "a.T has no descriptor"},
		{"no files", answers{serviceList("a.S"), fileResponse()}, 2, "a.S has no descriptor"},
		{"a message", answers{serviceList("a.M"), fileResponse(data)}, 2, "a.M is not a service"},
		{"invalid file", answers{serviceList("b.S"), fileResponse(invalid)}, 2, "?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := grpc.NewServer()
			registerReflection(server, "v1", test.answers)
			document := file(t, `{"methods": {"/x.Y/Z": {"public": true}}}`)
			args := []string{"-policy", document, "-reflect", listen(t, server), "-insecure-plaintext"}
			(&statusTest{test.name, args, test.status, test.says}).run(t, nil)
		})
	}
}

// A server without reflection is named as such, for both versions.
func TestNoReflection(t *testing.T) {
	args := []string{"-reflect", listen(t, grpc.NewServer()), "-insecure-plaintext"}
	for _, text := range []string{"v1.ServerReflection/ServerReflectionInfo: rpc error: code = Unimplemented", "v1alpha.ServerReflection/ServerReflectionInfo: rpc error: code = Unimplemented"} {
		(&statusTest{"", args, 2, text}).run(t, nil)
	}
}
