package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// loadReflection asks a server for its services and their files (server
// reflection, grpc.reflection.v1).
func (in *input) loadReflection(ctx context.Context, o *options) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	conn, err := dial(o)
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
	if err != nil {
		return fmt.Errorf("reflection: %w", err)
	}
	r := &reflector{stream: stream, files: map[string]*descriptorpb.FileDescriptorProto{}}
	names, err := r.services()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.fetch(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
		}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return in.reflectedFiles(names, r)
}

func dial(o *options) (*grpc.ClientConn, error) {
	if o.plaintext {
		return grpc.NewClient(o.reflect, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	transport := credentials.NewTLS(nil)
	if o.ca != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(o.ca, ""); err != nil {
			return nil, err
		}
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(transport)}
	if o.token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(o.token)))
	}
	return grpc.NewClient(o.reflect, options...)
}

// bearer is a token as per-RPC credentials.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// A reflector asks one question after the other.
type reflector struct {
	stream grpc.BidiStreamingClient[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]
	files  map[string]*descriptorpb.FileDescriptorProto // by name
}

func (r *reflector) ask(request *reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
	// If the stream is over, Recv has the reason.
	_ = r.stream.Send(request)
	response, err := r.stream.Recv()
	if err != nil {
		return nil, fmt.Errorf("reflection: %w", err)
	}
	if fault := response.GetErrorResponse(); fault != nil {
		return nil, fmt.Errorf("reflection: the server answers %d %q", fault.GetErrorCode(), fault.GetErrorMessage())
	}
	return response, nil
}

func (r *reflector) services() ([]string, error) {
	response, err := r.ask(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{ListServices: "*"},
	})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, service := range response.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	return names, nil
}

// fetch keeps the files of an answer. Servers send those that are imported along
// or leave them out, and either will do.
func (r *reflector) fetch(request *reflectionv1.ServerReflectionRequest) error {
	response, err := r.ask(request)
	if err != nil {
		return err
	}
	for _, data := range response.GetFileDescriptorResponse().GetFileDescriptorProto() {
		file := new(descriptorpb.FileDescriptorProto)
		if err := proto.Unmarshal(data, file); err != nil {
			return fmt.Errorf("reflection: not a file descriptor: %w", err)
		}
		r.files[file.GetName()] = file
	}
	return nil
}

// reflectedFiles takes what the server said over into the input.
func (in *input) reflectedFiles(names []string, r *reflector) error {
	set := new(descriptorpb.FileDescriptorSet)
	for _, file := range r.files {
		set.File = append(set.File, file)
	}
	files, err := unresolvable.NewFiles(set)
	if err != nil {
		return fmt.Errorf("reflection: %w", err)
	}
	in.files, in.services, in.reflected = files, map[string]grpc.ServiceInfo{}, true
	for _, name := range names {
		descriptor, err := files.FindDescriptorByName(protoreflect.FullName(name))
		service, ok := descriptor.(protoreflect.ServiceDescriptor)
		if !ok {
			return fmt.Errorf("reflection: %s has no descriptor: %v", name, err)
		}
		in.services[name] = infoOf(service)
	}
	return nil
}
