package policy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
	auth0grpcv1 "github.com/auth0grpc/auth0grpc/proto/auth0grpc/v1"
)

// TestFromServicesReadsOptionsInEveryForm is that it does not matter whether the
// options were known when the descriptors were parsed.
func TestFromServicesReadsOptionsInEveryForm(t *testing.T) {
	dynamic := new(protoregistry.Types)
	for _, extension := range []protoreflect.ExtensionType{auth0grpcv1.E_Rule, auth0grpcv1.E_DefaultRule} {
		if err := dynamic.RegisterExtension(dynamicpb.NewExtensionType(extension.TypeDescriptor())); err != nil {
			t.Fatal(err)
		}
	}
	for name, resolver := range map[string]*protoregistry.Types{"generated": nil, "unknown fields": new(protoregistry.Types), "dynamic messages": dynamic} {
		t.Run(name, func(t *testing.T) {
			files := filesOf(t, shopSet(t, resolver))
			got, err := policy.FromServices(servicesIn(files, "shop.v1"), files)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(shop, got, rulesEqual); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFromServerUsesTheGlobalRegistry(t *testing.T) {
	server := grpc.NewServer()
	testgrpc.RegisterTestServiceServer(server, testgrpc.UnimplementedTestServiceServer{})
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "by.Hand", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{MethodName: "Do"}}}, nil)
	got, err := policy.FromServer(server)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) > 0 {
		t.Errorf("services without options and without descriptors have rows: %v", got)
	}
}

// method returns the options of a method of the shop.
func method(t *testing.T, set *descriptorpb.FileDescriptorSet, name string) *descriptorpb.MethodOptions {
	t.Helper()
	for _, one := range set.File[len(set.File)-1].Service[0].Method {
		if one.GetName() == name {
			return one.Options
		}
	}
	t.Fatalf("the shop has no method %s", name)
	return nil
}

func TestFromServicesReportsEveryFault(t *testing.T) {
	set := shopSet(t, nil)
	const rule = "(auth0grpc.v1.rule)"
	proto.SetExtension(method(t, set, "Get"), auth0grpcv1.E_Rule, &auth0grpcv1.Rule{})
	proto.SetExtension(method(t, set, "Put"), auth0grpcv1.E_Rule, &auth0grpcv1.Rule{Scopes: []string{"a b"}, Public: true})
	proto.SetExtension(method(t, set, "Ping"), auth0grpcv1.E_Rule, &auth0grpcv1.Rule{AnyOf: []*auth0grpcv1.Rule{{AnyScope: []string{""}}, {Optional: true, ReportOnly: true}}})
	newer := &auth0grpcv1.Rule{Public: true}
	newer.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1))
	proto.SetExtension(method(t, set, "Whoami"), auth0grpcv1.E_Rule, newer)
	other := protowire.AppendBytes(protowire.AppendTag(nil, auth0grpcv1.E_Rule.TypeDescriptor().Number(), protowire.BytesType), []byte("of others"))
	proto.ClearExtension(method(t, set, "Price"), auth0grpcv1.E_Rule)
	method(t, set, "Price").ProtoReflect().SetUnknown(other)

	files := filesOf(t, set)
	got, err := policy.FromServices(servicesIn(files, "shop.v1"), files)
	want := []string{
		"0:0: shop.v1.ShopService.Get" + rule,
		"0:0: shop.v1.ShopService.Ping" + rule + ".any_of[0].any_scope[0]",
		"0:0: shop.v1.ShopService.Ping" + rule + ".any_of[1].optional",
		"0:0: shop.v1.ShopService.Ping" + rule + ".any_of[1].report_only",
		"0:0: shop.v1.ShopService.Price" + rule,
		"0:0: shop.v1.ShopService.Put" + rule + ".public",
		"0:0: shop.v1.ShopService.Put" + rule + ".scopes[0]",
		"0:0: shop.v1.ShopService.Whoami" + rule + ".field_999",
	}
	if diff := cmp.Diff(want, places(t, err)); diff != "" {
		t.Errorf("faults (-want +got):\n%s\n%v", diff, err)
	}
	if got != nil {
		t.Errorf("table %v beside an error", got)
	}
}

func TestFromServicesReadsModifiers(t *testing.T) {
	set := shopSet(t, nil)
	proto.SetExtension(method(t, set, "Get"), auth0grpcv1.E_Rule, &auth0grpcv1.Rule{
		Authenticated: true, RequireDpop: true, RequireMtls: true, ReportOnly: true,
		Streams: &auth0grpcv1.StreamPolicy{Policy: &auth0grpcv1.StreamPolicy_EndAfter{EndAfter: durationpb.New(90 * time.Second)}},
	})
	files := filesOf(t, set)
	methods, err := policy.FromServices(servicesIn(files, "shop.v1"), files)
	if err != nil {
		t.Fatal(err)
	}
	want := auth0grpc.Authenticated().RequireDPoP().RequireMTLS().ReportOnly().Streams(auth0grpc.EndAfter(90 * time.Second))
	if diff := cmp.Diff(want, methods["/shop.v1.ShopService/Get"], rulesEqual); diff != "" {
		t.Errorf("rule (-want +got):\n%s", diff)
	}

	for name, streams := range map[string]*auth0grpcv1.StreamPolicy{
		"nothing": {},
		"false":   {Policy: &auth0grpcv1.StreamPolicy_IgnoreExpiry{}},
		"no time": {Policy: &auth0grpcv1.StreamPolicy_EndAfter{}},
		"past":    {Policy: &auth0grpcv1.StreamPolicy_EndAfter{EndAfter: durationpb.New(-time.Second)}},
	} {
		proto.SetExtension(method(t, set, "Get"), auth0grpcv1.E_Rule, &auth0grpcv1.Rule{Authenticated: true, Streams: streams})
		files := filesOf(t, set)
		if got, err := policy.FromServices(servicesIn(files, "shop.v1"), files); err == nil {
			t.Errorf("streams: %s: %v, want an error", name, got["/shop.v1.ShopService/Get"])
		}
	}
}

func TestFromServicesWantsServices(t *testing.T) {
	services := map[string]grpc.ServiceInfo{"google.protobuf.MethodOptions": {}}
	if got, err := policy.FromServices(services, nil); err == nil {
		t.Errorf("a message was taken for a service: %v", got)
	}
}

// TestFromServicesOfDynamicFiles is that files count that were registered at run
// time.
func TestFromServicesOfDynamicFiles(t *testing.T) {
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("policy_test/dynamic.proto"), Package: proto.String("policytest.dynamic"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name:    proto.String("S"),
			Options: &descriptorpb.ServiceOptions{},
			Method:  []*descriptorpb.MethodDescriptorProto{{Name: proto.String("Do"), InputType: proto.String("M"), OutputType: proto.String("M")}},
		}},
	}
	proto.SetExtension(file.Service[0].Options, auth0grpcv1.E_DefaultRule, &auth0grpcv1.Rule{Authenticated: true})
	descriptor, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := protoregistry.GlobalFiles.RegisterFile(descriptor); err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	do := func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) { return nil, nil }
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "policytest.dynamic.S", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Do", Handler: do}}, Metadata: file.GetName(),
	}, nil)
	got, err := policy.FromServer(server)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got["/policytest.dynamic.S/Do"].String() != "authenticated" {
		t.Errorf("table %v, want the default of the service", got)
	}
}

// Other options of a method may be incomplete, or malformed for a type that the
// program links in. They are not read, so they cannot fail.
func TestFromServicesLeavesOtherOptions(t *testing.T) {
	other := otherOption(t)
	for name, change := range map[string]func(*descriptorpb.MethodOptions){
		"required field missing": func(options *descriptorpb.MethodOptions) {
			options.UninterpretedOption = []*descriptorpb.UninterpretedOption{{Name: []*descriptorpb.UninterpretedOption_NamePart{{}}}}
		},
		"malformed": func(options *descriptorpb.MethodOptions) {
			malformed := protowire.AppendTag(nil, other, protowire.BytesType)
			options.ProtoReflect().SetUnknown(protowire.AppendString(malformed, "\xff"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			set := shopSet(t, new(protoregistry.Types))
			options := method(t, set, "Get")
			proto.Reset(options)
			proto.SetExtension(options, auth0grpcv1.E_Rule, &auth0grpcv1.Rule{Scopes: []string{"read:shop"}})
			change(options)
			files := filesOf(t, set)
			methods, err := policy.FromServices(servicesIn(files, "shop.v1"), files)
			if err != nil {
				t.Fatal(err)
			}
			if got := methods["/shop.v1.ShopService/Get"].String(); got != "read:shop" {
				t.Errorf("rule %q, want read:shop", got)
			}
		})
	}
}

// otherOption registers a method option whose value is a message, for the whole
// test binary, and returns its number.
func otherOption(t *testing.T) protowire.Number {
	t.Helper()
	const number = 59999
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("policy_test/other.proto"), Package: proto.String("policytest.other"),
		Dependency:  []string{"google/protobuf/descriptor.proto"},
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M")}},
		Extension: []*descriptorpb.FieldDescriptorProto{{
			Name: proto.String("other"), Number: proto.Int32(number), Extendee: proto.String(".google.protobuf.MethodOptions"),
			Type: descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), TypeName: proto.String(".policytest.other.M"),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}},
	}, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	if err := protoregistry.GlobalTypes.RegisterExtension(dynamicpb.NewExtensionType(file.Extensions().Get(0))); err != nil {
		t.Fatal(err)
	}
	return number
}

// A number does not make an option ours: without a look at the name, the field 1 of
// another message would be read as scopes.
func TestFromServicesRefusesForeignOptions(t *testing.T) {
	number := auth0grpcv1.E_Rule.TypeDescriptor().Number()
	tag := func(wireType protowire.Type) []byte { return protowire.AppendTag(nil, number, wireType) }
	roles := protowire.AppendBytes(tag(protowire.BytesType), protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "admin"))
	for _, test := range []struct {
		name   string
		value  []byte
		change func(set *descriptorpb.FileDescriptorSet)
		want   string
	}{
		{"declared by an import", roles, declare(number, "acme.proto"), `is option 58977, which the .proto file declares as acme.roles; give one of the two another number`},
		{"declared by a public import", roles, func(set *descriptorpb.FileDescriptorSet) {
			declare(number, "acme.proto")(set)
			relay := &descriptorpb.FileDescriptorProto{Name: proto.String("relay.proto"), Dependency: []string{"acme.proto"}, PublicDependency: []int32{0}}
			last := len(set.File) - 1
			set.File = append(set.File[:last:last], relay, set.File[last])
			set.File[last+1].Dependency[len(set.File[last+1].Dependency)-1] = "relay.proto"
		}, `declares as acme.roles`},
		{"declared in the file", roles, func(set *descriptorpb.FileDescriptorSet) {
			file := set.File[len(set.File)-1]
			file.Dependency = append(file.Dependency, "google/protobuf/descriptor.proto")
			file.Extension = append(file.Extension, extension(number))
		}, `declares as shop.v1.roles`},
		{"declared in a message", roles, func(set *descriptorpb.FileDescriptorSet) {
			file := set.File[len(set.File)-1]
			file.Dependency = append(file.Dependency, "google/protobuf/descriptor.proto")
			file.MessageType[0].Extension = append(file.MessageType[0].Extension, extension(number))
		}, `.roles`},
		{"number", protowire.AppendVarint(tag(protowire.VarintType), 1), func(*descriptorpb.FileDescriptorSet) {}, `cannot be read: option 58977 is not a message of type auth0grpc.v1.Rule`},
		{"text", protowire.AppendString(tag(protowire.BytesType), "\xff"), func(*descriptorpb.FileDescriptorSet) {}, `cannot be read: proto:`},
		{"text of another option", protowire.AppendString(tag(protowire.BytesType), "admin"), declare(number, "acme.proto"), `declares as acme.roles`},
		{"only a declaration", nil, declare(number, "acme.proto"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			set := shopSet(t, new(protoregistry.Types))
			for _, file := range set.File { // our declaration is not in a foreign program
				for i, dependency := range file.Dependency {
					if dependency == "auth0grpc/v1/policy.proto" {
						file.Dependency = append(file.Dependency[:i:i], file.Dependency[i+1:]...)
						break
					}
				}
			}
			file := set.File[len(set.File)-1]
			for _, service := range file.Service {
				service.Options = nil
				for _, m := range service.Method {
					m.Options = nil
				}
			}
			get := file.Service[0].Method[0]
			get.Options = new(descriptorpb.MethodOptions)
			get.Options.ProtoReflect().SetUnknown(test.value)
			test.change(set)
			files := filesOf(t, set)
			methods, err := policy.FromServices(servicesIn(files, "shop.v1"), files)
			if test.want == "" {
				if err != nil || len(methods) > 0 {
					t.Errorf("table %v, error %v, want neither", methods, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "(auth0grpc.v1.rule): ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("table %v, error %v, want %q", methods, err, test.want)
			}
		})
	}
}

// declare returns a change that adds a file with another option of the number, and
// imports it.
func declare(number protowire.Number, name string) func(*descriptorpb.FileDescriptorSet) {
	return func(set *descriptorpb.FileDescriptorSet) {
		file := &descriptorpb.FileDescriptorProto{
			Name: proto.String(name), Package: proto.String("acme"), Dependency: []string{"google/protobuf/descriptor.proto"},
			Extension: []*descriptorpb.FieldDescriptorProto{extension(number)},
		}
		last := len(set.File) - 1
		set.File[last].Dependency = append(set.File[last].Dependency, name)
		set.File = append(set.File[:last:last], file, set.File[last])
	}
}

func extension(number protowire.Number) *descriptorpb.FieldDescriptorProto {
	return &descriptorpb.FieldDescriptorProto{
		Name: proto.String("roles"), Number: proto.Int32(int32(number)), Extendee: proto.String(".google.protobuf.MethodOptions"),
		Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
}
