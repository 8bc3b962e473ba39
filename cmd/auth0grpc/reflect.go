package main

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// reflectionMethods are the methods of server reflection, newest first. Their messages
// have the same fields in both versions.
var reflectionMethods = []string{
	"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
}

// loadReflection asks a server for its services and their files, by either version of
// server reflection.
func (in *input) loadReflection(ctx context.Context, o *options) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	conn, err := dial(o)
	if err != nil {
		return err
	}
	defer conn.Close()
	var errs []error
	for _, method := range reflectionMethods {
		if err = in.reflectBy(ctx, conn, method); err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("reflection: %s: %w", method, err))
		// A server may refuse methods that it does not list before it knows that they
		// are not implemented.
		if code := status.Code(err); code != codes.Unimplemented && code != codes.PermissionDenied {
			break
		}
	}
	return errors.Join(errs...)
}

// reflectBy loads the services by one version of server reflection.
func (in *input) reflectBy(ctx context.Context, conn *grpc.ClientConn, method string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	r := &reflector{
		stream: &grpc.GenericClientStream[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]{ClientStream: stream},
		files:  map[string]*descriptorpb.FileDescriptorProto{},
	}
	names, err := r.services()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.fetch(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return in.addReflected(names, r)
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

// bearer sends a token as per-RPC credentials.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// A reflector sends one request after the other and collects the files.
type reflector struct {
	stream grpc.BidiStreamingClient[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]
	files  map[string]*descriptorpb.FileDescriptorProto // by name
}

func (r *reflector) ask(request *reflectionv1.ServerReflectionRequest) (*reflectionv1.ServerReflectionResponse, error) {
	// If the stream has ended, Recv returns the reason.
	_ = r.stream.Send(request)
	response, err := r.stream.Recv()
	if err != nil {
		return nil, err
	}
	if answer := response.GetErrorResponse(); answer != nil {
		return nil, fmt.Errorf("the server answers %d %q", answer.GetErrorCode(), answer.GetErrorMessage())
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

// fetch stores the files that declare a service. Servers may leave out imported files.
func (r *reflector) fetch(service string) error {
	response, err := r.ask(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: service},
	})
	if err != nil {
		return err
	}
	for _, data := range response.GetFileDescriptorResponse().GetFileDescriptorProto() {
		file := new(descriptorpb.FileDescriptorProto)
		if err := rawOptions.Unmarshal(data, file); err != nil {
			return fmt.Errorf("not a file descriptor: %w", err)
		}
		r.files[file.GetName()] = file
	}
	return nil
}

// addReflected adds the services to the input.
func (in *input) addReflected(names []string, r *reflector) error {
	set := new(descriptorpb.FileDescriptorSet)
	for _, file := range r.files {
		set.File = append(set.File, file)
	}
	files, err := unresolvable.NewFiles(set)
	if err != nil {
		return err
	}
	services := map[string]grpc.ServiceInfo{}
	for _, name := range names {
		descriptor, err := files.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			return fmt.Errorf("%s has no descriptor: %w", name, err)
		}
		service, ok := descriptor.(protoreflect.ServiceDescriptor)
		if !ok {
			return fmt.Errorf("%s is not a service", name)
		}
		services[name] = serviceInfo(service)
	}
	in.files, in.services, in.reflected = files, services, true
	return nil
}
