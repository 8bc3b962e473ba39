package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/auth0grpc/auth0grpc"
	auth0grpcv1 "github.com/auth0grpc/auth0grpc/proto/auth0grpc/v1"
)

// FromServer returns the table that the .proto files of a server's services state
// by the options of auth0grpc/v1/policy.proto. Call it after the last Register.
// See [FromServices].
func FromServer(server interface {
	GetServiceInfo() map[string]grpc.ServiceInfo
}) (map[string]auth0grpc.Rule, error) {
	return FromServices(server.GetServiceInfo(), nil)
}

// FromServices returns the table that the options of auth0grpc/v1/policy.proto
// state for the services, whose descriptors it takes from files; nil stands for
// protoregistry.GlobalFiles, with which generated Go code registers itself.
//
// Every method has a row of its own: by its rule, or else by the default_rule of
// its service. A method that has neither has no row, and neither have services
// without a descriptor: they are for other tables, see [Merge], and
// Interceptor.CheckServices tells what is missing in the end. Options are read
// from their bytes, so that it does not matter whether the descriptors were made
// with these options linked in.
//
// Every fault in the options is reported at once, as [*Error] joined by
// errors.Join; the table is then nil. Options that were written with a newer
// policy.proto, which ask for what this version does not know, are a fault.
func FromServices(services map[string]grpc.ServiceInfo, files protodesc.Resolver) (map[string]auth0grpc.Rule, error) {
	if files == nil {
		files = protoregistry.GlobalFiles
	}
	var found faults
	methods := map[string]auth0grpc.Rule{}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		descriptor, err := files.FindDescriptorByName(protoreflect.FullName(name))
		if errors.Is(err, protoregistry.NotFound) {
			continue
		}
		service, ok := descriptor.(protoreflect.ServiceDescriptor)
		if !ok {
			found.add(0, name, "has no usable descriptor: want a service, have %T, %v", descriptor, err)
			continue
		}
		found.service(service, methods)
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	return methods, nil
}

func (f *faults) service(service protoreflect.ServiceDescriptor, methods map[string]auth0grpc.Rule) {
	byDefault, hasDefault := f.option(service, &descriptorpb.ServiceOptions{}, auth0grpcv1.E_DefaultRule)
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		rule, ok := f.option(method, &descriptorpb.MethodOptions{}, auth0grpcv1.E_Rule)
		if !ok {
			rule, ok = byDefault, hasDefault
		}
		if ok {
			methods[fmt.Sprintf("/%s/%s", service.FullName(), method.Name())] = rule
		}
	}
}

// option returns the rule that an option of a descriptor states, and reports
// whether there is one.
func (f *faults) option(of protoreflect.Descriptor, options proto.Message, extension protoreflect.ExtensionType) (auth0grpc.Rule, bool) {
	name := extension.TypeDescriptor().FullName()
	path := fmt.Sprintf("%s(%s)", of.FullName(), name)
	if err := reread(of.Options(), options); err != nil {
		f.add(0, path, "cannot be read: %v", err)
		return auth0grpc.Rule{}, false
	}
	if !proto.HasExtension(options, extension) {
		return auth0grpc.Rule{}, false
	}
	rule := proto.GetExtension(options, extension).(*auth0grpcv1.Rule)
	return f.row(path, node{value: objectOf(rule.ProtoReflect())}), true
}

// optionTypes are the extensions that reread looks for. The other options of a
// descriptor stay unread.
var optionTypes = func() *protoregistry.Types {
	types := new(protoregistry.Types)
	for _, extension := range []protoreflect.ExtensionType{auth0grpcv1.E_Rule, auth0grpcv1.E_DefaultRule} {
		if err := types.RegisterExtension(extension); err != nil {
			panic(err) // two numbers are equal
		}
	}
	return types
}()

// reread copies options by way of their bytes. They may be of a type of somebody
// else's making (dynamicpb), and hold our extensions as unknown fields or as
// dynamic messages, depending on what was linked in where they were parsed.
func reread(from, to proto.Message) error {
	data, err := proto.MarshalOptions{AllowPartial: true}.Marshal(from)
	if err != nil {
		return err
	}
	return proto.UnmarshalOptions{AllowPartial: true, Resolver: optionTypes}.Unmarshal(data, to)
}

// objectOf brings a message into the form of a JSON document, so that one reader
// judges both.
func objectOf(message protoreflect.Message) object {
	all := object{}
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); message.Has(field) {
			value := node{value: valueOf(field, message.Get(field))}
			all = append(all, member{name: field.JSONName(), label: string(field.Name()), value: value})
		}
	}
	// What a newer policy.proto may ask for must not be passed over.
	for unknown := message.GetUnknown(); len(unknown) > 0; {
		number, _, n := protowire.ConsumeField(unknown)
		if n < 0 {
			break // does not happen: the bytes were parsed before
		}
		label := fmt.Sprintf("field_%d", number)
		all = append(all, member{name: label, label: label})
		unknown = unknown[n:]
	}
	return all
}

// singleOf brings a flag, a stream policy or a duration into its form in JSON.
func singleOf(field protoreflect.FieldDescriptor, value protoreflect.Value) any {
	if field.Kind() != protoreflect.MessageKind {
		return value.Interface()
	}
	if duration, ok := value.Message().Interface().(*durationpb.Duration); ok {
		return duration.AsDuration().String()
	}
	members := objectOf(value.Message())
	if len(members) == 1 && members[0].value.value == true {
		return members[0].name // {run_on: true} is "runOn"
	}
	return members
}

func valueOf(field protoreflect.FieldDescriptor, value protoreflect.Value) any {
	if !field.IsList() {
		return singleOf(field, value)
	}
	all := array{}
	for i := range value.List().Len() {
		element := value.List().Get(i)
		if field.Kind() == protoreflect.MessageKind {
			all = append(all, node{value: objectOf(element.Message())})
		} else {
			all = append(all, node{value: element.Interface()})
		}
	}
	return all
}
