package proto_test

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"

	auth0grpcv1 "github.com/auth0grpc/auth0grpc/proto/auth0grpc/v1"
)

// TestExtensionNumbers recomputes the numbers as policy.proto says.
func TestExtensionNumbers(t *testing.T) {
	for _, extension := range []protoreflect.ExtensionType{auth0grpcv1.E_Rule, auth0grpcv1.E_DefaultRule} {
		descriptor := extension.TypeDescriptor()
		hash := sha256.Sum256([]byte(descriptor.FullName()))
		want := 50000 + binary.BigEndian.Uint64(hash[:8])%50000
		if got := uint64(descriptor.Number()); got != want {
			t.Errorf("%s has number %d, want %d", descriptor.FullName(), got, want)
		}
	}
}

// TestGeneratedCodeIsOfTheFile compares the generated code with another compiler's
// output for the .proto files.
func TestGeneratedCodeIsOfTheFile(t *testing.T) {
	protoc, err := exec.LookPath("protoc")
	if err != nil {
		t.Skip("protoc is not installed: generated code was not compared with policy.proto")
	}
	options := compile(t, protoc, "auth0grpc/v1/policy.proto")
	generated := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(auth0grpcv1.File_auth0grpc_v1_policy_proto),
	}}
	if diff := cmp.Diff(options, generated, protocmp.Transform()); diff != "" {
		t.Errorf("policy.pb.go is not of policy.proto; run proto/generate (-protoc +generated):\n%s", diff)
	}

	data, err := os.ReadFile("testdata/shop.binpb")
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	set.File = set.File[len(set.File)-1:] // the one before which its imports stand
	shop := compile(t, protoc, "shop/v1/shop.proto")
	if diff := cmp.Diff(shop, &set, protocmp.Transform()); diff != "" {
		t.Errorf("shop.binpb is not of shop.proto; run proto/generate (-protoc +generated):\n%s", diff)
	}
}

// compile returns the descriptors of one file, compiled by protoc.
func compile(t *testing.T, protoc, file string) *descriptorpb.FileDescriptorSet {
	t.Helper()
	out := filepath.Join(t.TempDir(), "set.binpb")
	output, err := exec.Command(protoc, "-I", ".", "-I", "testdata", "--descriptor_set_out="+out, file).CombinedOutput()
	if err != nil {
		t.Fatalf("protoc: %v\n%s", err, output)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	return &set
}
