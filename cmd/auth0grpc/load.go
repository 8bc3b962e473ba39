package main

import (
	"context"
	"fmt"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// An input holds the contents of the files and the server that the flags name.
type input struct {
	policy    []byte                      // nil without -policy
	services  map[string]grpc.ServiceInfo // nil without -descriptors and -reflect
	imported  map[string]grpc.ServiceInfo // services of files that a buf image only imports
	files     *protoregistry.Files        // declares the services
	reflected bool                        // services come from a server, and are complete
}

// load reads the files and asks the server.
func load(ctx context.Context, o *options) (*input, error) {
	in := new(input)
	if o.policy != "" {
		data, err := os.ReadFile(o.policy)
		if err != nil {
			return nil, err
		}
		in.policy = append([]byte{}, data...) // not nil, even if the file is empty
	}
	var err error
	switch {
	case o.descriptors != "":
		err = in.loadDescriptors(o.descriptors)
	case o.reflect != "":
		err = in.loadReflection(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	return in, in.ignore(splitList(o.ignored))
}

// ignore removes services. An unknown name is an error: it may be a slip.
func (in *input) ignore(names []string) error {
	for _, name := range names {
		_, served := in.services[name]
		_, imported := in.imported[name]
		if !served && !imported {
			return fmt.Errorf("-ignore %s: there is no such service", name)
		}
		delete(in.services, name)
		delete(in.imported, name)
	}
	return nil
}

// rawOptions leaves the options of descriptors as bytes. Another option may use the
// number of auth0grpc.v1.rule, and package policy reports it by the method's name.
var rawOptions = proto.UnmarshalOptions{Resolver: new(protoregistry.Types)}

// unresolvable accepts files whose imports are missing. Rules name methods, and need
// no messages.
var unresolvable = protodesc.FileOptions{AllowUnresolvable: true}

// loadDescriptors reads a descriptor set. Each service in it counts as served, except
// in files that a buf image marks as imports.
func (in *input) loadDescriptors(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return in.parseDescriptors(name, data)
}

// parseDescriptors reads the content of the descriptor set with a name.
func (in *input) parseDescriptors(name string, data []byte) (err error) {
	set := new(descriptorpb.FileDescriptorSet)
	if err := rawOptions.Unmarshal(data, set); err != nil {
		return fmt.Errorf("%s is not a descriptor set: %w", name, err)
	}
	if len(set.File) == 0 {
		return fmt.Errorf("%s is not a descriptor set: it holds no files", name)
	}
	if in.files, err = unresolvable.NewFiles(set); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	in.services, in.imported = map[string]grpc.ServiceInfo{}, map[string]grpc.ServiceInfo{}
	for _, file := range set.File {
		services := in.services
		if isImport(file) {
			services = in.imported
		}
		descriptor, err := in.files.FindFileByPath(file.GetName())
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for i := range descriptor.Services().Len() {
			service := descriptor.Services().Get(i)
			services[string(service.FullName())] = serviceInfo(service)
		}
	}
	return nil
}

// The fields of a buf image that a FileDescriptorSet does not have
// (https://github.com/bufbuild/buf/blob/main/proto/buf/alpha/image/v1/image.proto).
const (
	bufExtension = 8042 // of ImageFile, which is a FileDescriptorProto with this field
	bufIsImport  = 1    // of ImageFileExtension
)

// isImport reports whether a buf image has the file for the sake of its imports. A
// plain descriptor set does not say so.
func isImport(file *descriptorpb.FileDescriptorProto) bool {
	extension := lastField(file.ProtoReflect().GetUnknown(), bufExtension, protowire.BytesType)
	content, n := protowire.ConsumeBytes(extension)
	if n < 0 {
		return false
	}
	value, n := protowire.ConsumeVarint(lastField(content, bufIsImport, protowire.VarintType))
	return n > 0 && protowire.DecodeBool(value)
}

// lastField returns the last value of a field in a message, or nil.
func lastField(message []byte, number protowire.Number, wireType protowire.Type) (value []byte) {
	for len(message) > 0 {
		field, fieldType, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		length := protowire.ConsumeFieldValue(field, fieldType, message[n:])
		if length < 0 {
			return nil
		}
		if field == number && fieldType == wireType {
			value = message[n : n+length]
		}
		message = message[n+length:]
	}
	return value
}

func serviceInfo(service protoreflect.ServiceDescriptor) grpc.ServiceInfo {
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
