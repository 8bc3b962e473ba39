package auth0grpchttp_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/auth0grpc/auth0grpc/auth0grpchttp"
)

// binding returns a google.api.HttpRule with one path. number is its field in http.proto.
func binding(number protowire.Number, path string, more ...[]byte) []byte {
	rule := protowire.AppendString(protowire.AppendTag(nil, number, protowire.BytesType), path)
	for _, m := range more {
		rule = append(rule, m...)
	}
	return rule
}

func message(number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content)
}

// annotated returns a service whose methods A, B, C and so on have HTTP rules. The rules
// are unknown fields, as in a program that does not link google.api. A nil rule stands
// for none.
func annotated(t *testing.T, rules ...[]byte) protoreflect.ServiceDescriptor {
	t.Helper()
	service := &descriptorpb.ServiceDescriptorProto{Name: proto.String("Routes")}
	for i, rule := range rules {
		method := &descriptorpb.MethodDescriptorProto{
			Name: proto.String(string(rune('A' + i))), InputType: proto.String(".routes.v1.M"), OutputType: proto.String(".routes.v1.M"),
		}
		if rule != nil {
			method.Options = new(descriptorpb.MethodOptions)
			others := protowire.AppendVarint(protowire.AppendTag(message(1000, binding(2, "/other")), 1001, protowire.VarintType), 1<<40)
			method.Options.ProtoReflect().SetUnknown(append(others, message(72295728, rule)...))
		}
		service.Method = append(service.Method, method)
	}
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("routes.proto"), Package: proto.String("routes.v1"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M")}},
		Service:     []*descriptorpb.ServiceDescriptorProto{service},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Services().Get(0)
}

func TestGatewayRoutes(t *testing.T) {
	const a, b = "/routes.v1.Routes/A", "/routes.v1.Routes/B"
	custom := func(kind, path string) []byte { return message(8, append(binding(1, kind), binding(2, path)...)) }
	for name, test := range map[string]struct {
		rules [][]byte
		want  map[string]string // nil: an error
	}{
		"none":                 {[][]byte{nil}, map[string]string{"POST " + a: a}},
		"get":                  {[][]byte{binding(2, "/v1/{id}")}, map[string]string{"GET /v1/{id=*}": a}},
		"put":                  {[][]byte{binding(3, "/v1/{id=*}", binding(7, "*"))}, map[string]string{"PUT /v1/{id=*}": a}},
		"post":                 {[][]byte{binding(4, "/v1/{name=a/*/b/**}:c", binding(7, "*"))}, map[string]string{"POST /v1/{name=a/*/b/**}:c": a}},
		"delete":               {[][]byte{binding(5, "/v1/*/**")}, map[string]string{"DELETE /v1/*/**": a}},
		"patch":                {[][]byte{binding(6, "/v1/{a.b}/{c}")}, map[string]string{"PATCH /v1/{a.b=*}/{c=*}": a}},
		"custom":               {[][]byte{custom("PURGE", "/v1/{id}")}, map[string]string{"PURGE /v1/{id=*}": a}},
		"root":                 {[][]byte{binding(2, "/")}, map[string]string{"GET /": a}},
		"selector":             {[][]byte{append(binding(1, "routes.v1.Routes.A"), binding(2, "/v1")...)}, map[string]string{"GET /v1": a}},
		"additional":           {[][]byte{binding(2, "/v1", message(11, binding(4, "/v2")), message(11, custom("HEAD", "/v3")))}, map[string]string{"GET /v1": a, "POST /v2": a, "HEAD /v3": a}},
		"twice in a method":    {[][]byte{binding(2, "/v1/{id}", message(11, binding(2, "/v1/{id=*}")))}, map[string]string{"GET /v1/{id=*}": a}},
		"same path":            {[][]byte{binding(2, "/v1"), binding(4, "/v1")}, map[string]string{"GET /v1": a, "POST /v1": b}},
		"other variable":       {[][]byte{binding(2, "/v1/{a}"), binding(2, "/v1/{b}")}, map[string]string{"GET /v1/{a=*}": a, "GET /v1/{b=*}": b}},
		"shared":               {[][]byte{binding(2, "/v1/{id}"), binding(2, "/v1/{id=*}")}, nil},
		"shared by additional": {[][]byte{binding(4, "/v0", message(11, binding(2, "/v1"))), binding(2, "/v1")}, nil},
		"shared with own path": {[][]byte{nil, binding(4, a)}, nil},
		// grpc-gateway reads these templates as others: "/v1/*", "/v1" and "/v1/{id=*}".
		"empty segment":         {[][]byte{binding(2, "/v1//")}, nil},
		"empty verb":            {[][]byte{binding(2, "/v1:")}, nil},
		"empty verb, variable":  {[][]byte{binding(2, "/v1/{id}:")}, nil},
		"empty nested segment":  {[][]byte{binding(2, "/v1/{id=a//}")}, nil},
		"cut":                   {[][]byte{binding(2, "/v1")[:3]}, nil},
		"cut tag":               {[][]byte{append(binding(2, "/v1"), 0x80)}, nil},
		"cut number":            {[][]byte{append(binding(2, "/v1"), 0x18, 0x80)}, nil},
		"cut in an additional":  {[][]byte{message(11, binding(2, "/v1")[:3])}, nil},
		"cut in a custom":       {[][]byte{message(8, binding(2, "/v1")[:3])}, nil},
		"bindings in additions": {[][]byte{binding(2, "/v1", message(11, binding(2, "/v2", message(11, binding(2, "/v3")))))}, map[string]string{"GET /v1": a, "GET /v2": a}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := auth0grpchttp.GatewayRoutes(annotated(t, test.rules...))
			if diff := cmp.Diff(test.want, got); diff != "" || (err != nil) != (test.want == nil) {
				t.Errorf("error %v; routes (-want +got):\n%s", err, diff)
			}
		})
	}
}
