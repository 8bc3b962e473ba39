package main

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// An input is what the flags name, not judged yet.
type input struct {
	policy    []byte                      // nil: none given
	services  map[string]grpc.ServiceInfo // nil: none given
	files     *protoregistry.Files        // of the services
	reflected bool                        // whether services are all that a server has
}

// load reads files and asks the server.
func load(ctx context.Context, o *options) (*input, error) {
	in := new(input)
	if o.policy != "" {
		data, err := os.ReadFile(o.policy)
		if err != nil {
			return nil, err
		}
		in.policy = append([]byte{}, data...) // not nil, even if empty
	}
	switch {
	case o.descriptors != "":
		return in, in.loadDescriptors(o.descriptors)
	case o.reflect != "":
		return in, in.loadReflection(ctx, o)
	}
	return in, nil
}

// unresolvable builds files whose imports are not all there: rules are about
// names and not about messages.
var unresolvable = protodesc.FileOptions{AllowUnresolvable: true}

// loadDescriptors takes every service of a descriptor set for one that is served.
func (in *input) loadDescriptors(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(data, set); err != nil || len(set.File) == 0 {
		return fmt.Errorf("%s is not a descriptor set", name)
	}
	if in.files, err = unresolvable.NewFiles(set); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	in.services = map[string]grpc.ServiceInfo{}
	in.files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			in.services[string(service.FullName())] = infoOf(service)
		}
		return true
	})
	return nil
}

func infoOf(service protoreflect.ServiceDescriptor) grpc.ServiceInfo {
	info := grpc.ServiceInfo{Metadata: service.ParentFile().Path()}
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		info.Methods = append(info.Methods, grpc.MethodInfo{
			Name:           string(method.Name()),
			IsClientStream: method.IsStreamingClient(),
			IsServerStream: method.IsStreamingServer(),
		})
	}
	return info
}
