package policy_test

import (
	"log/slog"
	"os"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// newGuard returns an interceptor that no token reaches.
func newGuard(tb testing.TB, methods map[string]auth0grpc.Rule) *auth0grpc.Interceptor {
	tb.Helper()
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:         []string{"https://tenant.example/"},
		Audiences:       []string{auth0grpctest.Audience},
		Methods:         methods,
		DPoP:            auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example"}},
		MTLS:            auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed},
		RelationChecker: viewsOrder7,
		Logger:          slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return guard
}

// shopSet returns the descriptors of proto/testdata as protoc or buf write them,
// parsed by a resolver: nil knows the options, an empty one does not.
func shopSet(tb testing.TB, resolver *protoregistry.Types) *descriptorpb.FileDescriptorSet {
	tb.Helper()
	data, err := os.ReadFile("../proto/testdata/shop.binpb")
	if err != nil {
		tb.Fatal(err)
	}
	options := proto.UnmarshalOptions{}
	if resolver != nil {
		options.Resolver = resolver
	}
	var set descriptorpb.FileDescriptorSet
	if err := options.Unmarshal(data, &set); err != nil {
		tb.Fatal(err)
	}
	return &set
}

func filesOf(tb testing.TB, set *descriptorpb.FileDescriptorSet) *protoregistry.Files {
	tb.Helper()
	files, err := protodesc.NewFiles(set)
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// servicesIn returns the registered services of a server that has all services of the
// files whose name begins with a package.
func servicesIn(files *protoregistry.Files, pkg protoreflect.FullName) map[string]grpc.ServiceInfo {
	services := map[string]grpc.ServiceInfo{}
	files.RangeFilesByPackage(pkg, func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			info := grpc.ServiceInfo{Metadata: file.Path()}
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				info.Methods = append(info.Methods, grpc.MethodInfo{
					Name: string(method.Name()), IsClientStream: method.IsStreamingClient(), IsServerStream: method.IsStreamingServer(),
				})
			}
			services[string(service.FullName())] = info
		}
		return true
	})
	return services
}
