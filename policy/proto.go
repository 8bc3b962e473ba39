package policy

import (
	"errors"
	"fmt"
	"iter"
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

// FromServer returns the table from the options of auth0grpc/v1/policy.proto in the
// .proto files of a server's services. Call it after the last Register. See
// [FromServices].
func FromServer(server interface {
	GetServiceInfo() map[string]grpc.ServiceInfo
}) (map[string]auth0grpc.Rule, error) {
	return FromServices(server.GetServiceInfo(), nil)
}

// FromServices returns the table from the options of auth0grpc/v1/policy.proto for the
// services. It takes their descriptors from files; nil means
// protoregistry.GlobalFiles, the registry of generated Go code.
//
// Each method has a row of its own: its rule, or the default_rule of its service. A
// method without both has no row, and a service without a descriptor has none either.
// Other tables add those rows (see [Merge]), and [auth0grpc.Interceptor.CheckServices]
// reports missing ones. FromServices reads the bytes of options, so it does not matter
// whether the program that parsed the descriptors had these options linked in.
//
// FromServices reports all errors at once, as [*Error] joined by errors.Join. The table
// is then nil. Three kinds of options are errors: with a field of a newer policy.proto
// that this version does not know, of another name with one of our numbers, and of
// another type.
func FromServices(services map[string]grpc.ServiceInfo, files protodesc.Resolver) (map[string]auth0grpc.Rule, error) {
	if files == nil {
		files = protoregistry.GlobalFiles
	}
	var errs faults
	methods := map[string]auth0grpc.Rule{}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		descriptor, err := files.FindDescriptorByName(protoreflect.FullName(name))
		if errors.Is(err, protoregistry.NotFound) {
			continue
		}
		service, ok := descriptor.(protoreflect.ServiceDescriptor)
		if !ok {
			errs.add(0, name, "has no usable descriptor: want a service, have %T, %v", descriptor, err)
			continue
		}
		errs.service(service, methods)
	}
	if err := errs.err(); err != nil {
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

// option returns the rule that an option of a descriptor states, and reports whether
// the option is set. It decodes the bytes of the options: their Go type may be a
// dynamic one (dynamicpb), and our options may be in unknown fields.
func (f *faults) option(desc protoreflect.Descriptor, options proto.Message, extension protoreflect.ExtensionType) (auth0grpc.Rule, bool) {
	extensionType := extension.TypeDescriptor()
	path := fmt.Sprintf("%s(%s)", desc.FullName(), extensionType.FullName())
	fail := func(format string, args ...any) (auth0grpc.Rule, bool) {
		f.add(0, path, format, args...)
		return auth0grpc.Rule{}, false
	}
	data, err := proto.MarshalOptions{AllowPartial: true}.Marshal(desc.Options())
	if err != nil {
		return fail("cannot be read: %v", err)
	}
	if !hasField(data, extensionType.Number()) {
		return auth0grpc.Rule{}, false
	}
	if other := declaredName(desc, extensionType); other != extensionType.FullName() {
		return fail("is option %d, which the .proto file declares as %s; give one of the two another number", extensionType.Number(), other)
	}
	if err := (proto.UnmarshalOptions{AllowPartial: true, Resolver: optionTypes}).Unmarshal(data, options); err != nil {
		return fail("cannot be read: %v", err)
	}
	if !proto.HasExtension(options, extension) { // the wire type differs
		return fail("cannot be read: option %d is not a message of type %s", extensionType.Number(), extensionType.Message().FullName())
	}
	rule := proto.GetExtension(options, extension).(*auth0grpcv1.Rule)
	return f.row(path, node{val: encodeObject(rule.ProtoReflect())}), true
}

// hasField reports whether a field occurs in the bytes of a message.
func hasField(message []byte, number protowire.Number) bool {
	for len(message) > 0 {
		field, _, n := protowire.ConsumeField(message)
		if n < 0 || field == number {
			return n >= 0
		}
		message = message[n:]
	}
	return false
}

// declaredName returns the name under which the number of one of our options is
// declared for a descriptor. Bytes of options have the number alone, so the name comes
// from the files that the descriptor's file can use. Without a declaration, as in
// descriptor sets that lack imports, declaredName returns our own name.
func declaredName(desc protoreflect.Descriptor, extensionType protoreflect.ExtensionTypeDescriptor) protoreflect.FullName {
	name := extensionType.FullName()
	compare := func(field protoreflect.FieldDescriptor) {
		if field.Number() == extensionType.Number() && field.ContainingMessage().FullName() == extensionType.ContainingMessage().FullName() &&
			field.FullName() != extensionType.FullName() {
			name = field.FullName()
		}
	}
	desc.Options().ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		compare(field)
		return true
	})
	for file := range visibleFiles(desc.ParentFile()) {
		for extension := range extensions(file) {
			compare(extension)
		}
	}
	return name
}

// visibleFiles iterates over a file, its imports, and the public imports of those.
func visibleFiles(file protoreflect.FileDescriptor) iter.Seq[protoreflect.FileDescriptor] {
	return func(yield func(protoreflect.FileDescriptor) bool) {
		seen := map[string]bool{file.Path(): true}
		files := []protoreflect.FileDescriptor{file}
		for len(files) > 0 {
			current := files[0]
			files = files[1:]
			if !yield(current) {
				return
			}
			for i := range current.Imports().Len() {
				imported := current.Imports().Get(i)
				if (current == file || imported.IsPublic) && !seen[imported.Path()] {
					seen[imported.Path()] = true
					files = append(files, imported.FileDescriptor)
				}
			}
		}
	}
}

// extensions iterates over the extensions that a file or a message declares.
func extensions(scope interface {
	Extensions() protoreflect.ExtensionDescriptors
	Messages() protoreflect.MessageDescriptors
}) iter.Seq[protoreflect.ExtensionDescriptor] {
	return func(yield func(protoreflect.ExtensionDescriptor) bool) {
		for i := range scope.Extensions().Len() {
			if !yield(scope.Extensions().Get(i)) {
				return
			}
		}
		for i := range scope.Messages().Len() {
			for extension := range extensions(scope.Messages().Get(i)) {
				if !yield(extension) {
					return
				}
			}
		}
	}
}

// optionTypes holds the extensions to decode. The other options of a descriptor stay
// unread.
var optionTypes = func() *protoregistry.Types {
	types := new(protoregistry.Types)
	for _, extension := range []protoreflect.ExtensionType{auth0grpcv1.E_Rule, auth0grpcv1.E_DefaultRule} {
		if err := types.RegisterExtension(extension); err != nil {
			panic(err) // two numbers are equal
		}
	}
	return types
}()

// encodeObject brings a message into the form of a JSON document, so that one reader
// judges both.
func encodeObject(message protoreflect.Message) object {
	all := object{}
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		if field := fields.Get(i); message.Has(field) {
			value := node{val: encodeValue(field, message.Get(field))}
			all = append(all, member{name: field.JSONName(), label: string(field.Name()), value: value})
		}
	}
	// Requirements of a newer policy.proto must not be ignored.
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

// encodeSingle brings a flag, a stream policy or a duration into its form in JSON.
func encodeSingle(field protoreflect.FieldDescriptor, value protoreflect.Value) any {
	if field.Kind() == protoreflect.EnumKind {
		if named := field.Enum().Values().ByNumber(value.Enum()); named != nil {
			return string(named.Name())
		}
	}
	if field.Kind() != protoreflect.MessageKind {
		return value.Interface()
	}
	if duration, ok := value.Message().Interface().(*durationpb.Duration); ok {
		return duration.AsDuration().String()
	}
	members := encodeObject(value.Message())
	if len(members) == 1 && members[0].value.val == true {
		return members[0].name // {ignore_expiry: true} is "ignoreExpiry"
	}
	return members
}

func encodeValue(field protoreflect.FieldDescriptor, value protoreflect.Value) any {
	if !field.IsList() {
		return encodeSingle(field, value)
	}
	all := array{}
	for i := range value.List().Len() {
		element := value.List().Get(i)
		if field.Kind() == protoreflect.MessageKind {
			all = append(all, node{val: encodeObject(element.Message())})
		} else {
			all = append(all, node{val: element.Interface()})
		}
	}
	return all
}
