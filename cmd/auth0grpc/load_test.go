package main

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	auth0grpcv1 "github.com/auth0grpc/auth0grpc/proto/auth0grpc/v1"
)

// newFile returns a file that declares one service with the method Do.
func newFile(pkg string, dependencies ...string) *descriptorpb.FileDescriptorProto {
	return &descriptorpb.FileDescriptorProto{
		Name: proto.String(pkg + ".proto"), Package: proto.String(pkg), Syntax: proto.String("proto3"), Dependency: dependencies,
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{
			Name: proto.String("S"), Options: &descriptorpb.ServiceOptions{},
			Method: []*descriptorpb.MethodDescriptorProto{{
				Name: proto.String("Do"), InputType: proto.String("." + pkg + ".M"), OutputType: proto.String("." + pkg + ".M"),
				Options: &descriptorpb.MethodOptions{},
			}},
		}},
	}
}

// asImport adds the bytes by which buf 1.74 marks a file (d2 f6 03 04 08 01 18 00).
func asImport(file *descriptorpb.FileDescriptorProto, value uint64) *descriptorpb.FileDescriptorProto {
	extension := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), value)
	extension = protowire.AppendVarint(protowire.AppendTag(extension, 3, protowire.VarintType), 0)
	field := protowire.AppendTag(nil, 8042, protowire.BytesType)
	file.ProtoReflect().SetUnknown(protowire.AppendBytes(field, extension))
	return file
}

// writeSet writes a descriptor set and returns its name.
func writeSet(t *testing.T, files ...*descriptorpb.FileDescriptorProto) string {
	t.Helper()
	data, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: files})
	if err != nil {
		t.Fatal(err)
	}
	return file(t, string(data))
}

// A status is a call of the command with the expected status and a part of its output.
type statusTest struct {
	name   string
	args   []string
	status int
	says   string
}

func (test *statusTest) run(t *testing.T, environment map[string]string) {
	t.Helper()
	status, stdout, stderr := command(t, environment, test.args...)
	if status != test.status || !strings.Contains(stdout+stderr, test.says) {
		t.Errorf("status %d, want %d and %q\nstdout:\n%s\nstderr:\n%s", status, test.status, test.says, stdout, stderr)
	}
}

func TestImportedServices(t *testing.T) {
	image := writeSet(t, asImport(newFile("theirs"), 1), asImport(newFile("mine", "theirs.proto"), 0))
	plain := writeSet(t, newFile("theirs"), newFile("mine", "theirs.proto"))
	mine := file(t, `{"methods": {"/mine.S/Do": {"public": true}}}`)
	both := file(t, `{"methods": {"/mine.S/Do": {"public": true}, "/theirs.S/*": {"public": true}}}`)
	slip := file(t, `{"methods": {"/mine.S/Do": {"public": true}, "/theirs.S/Dp": {"public": true}}}`)
	for _, test := range []statusTest{
		{"image", []string{"-descriptors", image, "-policy", mine}, 0, "/mine.S/Do"},
		{"image, imported service is served", []string{"-descriptors", image, "-policy", both}, 0, "/theirs.S/*"},
		{"image, imported service with a slip", []string{"-descriptors", image, "-policy", slip}, 1, "FAULT  /theirs.S/Do is registered"},
		{"plain set", []string{"-descriptors", plain, "-policy", mine}, 1, "FAULT  /theirs.S/Do is registered"},
		{"plain set, ignored", []string{"-descriptors", plain, "-policy", mine, "-ignore", "theirs.S"}, 0, "/mine.S/Do"},
		{"image, ignored", []string{"-descriptors", image, "-policy", mine, "-ignore", "theirs.S"}, 0, "/mine.S/Do"},
		{"ignored, and with a row", []string{"-descriptors", plain, "-policy", both, "-ignore", "theirs.S"}, 1, "FAULT  row /theirs.S/*"},
		{"ignored, with a slip", []string{"-descriptors", plain, "-policy", mine, "-ignore", "mine.S, theirs.T"}, 2, "-ignore theirs.T: there is no such service"},
		{"ignored in no set", []string{"-policy", mine, "-ignore", "theirs.S"}, 2, "-ignore needs -descriptors or -reflect"},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, nil) })
	}
}

func TestIsImport(t *testing.T) {
	marked := asImport(newFile("a"), 1).ProtoReflect().GetUnknown()
	for _, test := range []struct {
		name    string
		unknown []byte
		want    bool
	}{
		{"marked", marked, true},
		{"marked as none", asImport(newFile("a"), 0).ProtoReflect().GetUnknown(), false},
		{"without a mark", nil, false},
		{"other field", protowire.AppendVarint(protowire.AppendTag(nil, 8043, protowire.VarintType), 1), false},
		{"other type", protowire.AppendVarint(protowire.AppendTag(nil, 8042, protowire.VarintType), 1), false},
		{"no content", protowire.AppendBytes(protowire.AppendTag(nil, 8042, protowire.BytesType), nil), false},
	} {
		file := newFile("a")
		file.ProtoReflect().SetUnknown(test.unknown)
		if got := isImport(file); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	for n := range marked { // no prefix makes it panic
		lastField(marked[:n], bufExtension, protowire.BytesType)
	}
}

// Descriptors that cannot be read give their cause.
func TestDescriptorFaults(t *testing.T) {
	duplicate, broken := newFile("a"), newFile("b")
	broken.Service[0].Method[0].InputType = proto.String("?")
	foreign := newFile("c")
	foreign.Service[0].Method[0].Options.ProtoReflect().SetUnknown(
		protowire.AppendString(protowire.AppendTag(nil, protowire.Number(auth0grpcv1.E_Rule.TypeDescriptor().Number()), protowire.BytesType), "\xff"))
	for _, test := range []statusTest{
		{"not protobuf", []string{"-descriptors", file(t, "\xff")}, 2, "is not a descriptor set: proto:"},
		{"empty", []string{"-descriptors", file(t, "")}, 2, "it holds no files"},
		{"no such file", []string{"-descriptors", "no/such/file"}, 2, "no/such/file"},
		{"one file twice", []string{"-descriptors", writeSet(t, duplicate, duplicate)}, 2, "a.proto"},
		{"invalid name", []string{"-descriptors", writeSet(t, broken)}, 2, "?"},
		{"option of other type", []string{"-descriptors", writeSet(t, foreign)}, 1, "c.S.Do(auth0grpc.v1.rule): cannot be read: proto:"},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, nil) })
	}
}

func TestUsage(t *testing.T) {
	document := file(t, `{"methods": {"/a.B/C": {"public": true}}}`)
	authority := file(t, "no certificate")
	token := map[string]string{tokenEnv: "header.payload.signature"}
	for _, test := range []struct {
		statusTest
		environment map[string]string
	}{
		{statusTest{"plaintext and ca", []string{"-reflect", "127.0.0.1:1", "-insecure-plaintext", "-ca", authority}, 2, "want one of -insecure-plaintext and -ca"}, nil},
		{statusTest{"ca without server", []string{"-policy", document, "-ca", authority}, 2, "-insecure-plaintext and -ca need -reflect"}, nil},
		{statusTest{"ca without certificate", []string{"-reflect", "127.0.0.1:1", "-ca", authority}, 2, "credentials:"}, nil},
		{statusTest{"token over plaintext", []string{"-reflect", "127.0.0.1:1", "-insecure-plaintext"}, 2, "the token in " + tokenEnv + " would not be sent"}, token},
		{statusTest{"token that is not used", []string{"-policy", document}, 0, "/a.B/C"}, token},
		{statusTest{"token with its scheme", []string{"-reflect", "127.0.0.1:1"}, 2, "want the token alone"}, map[string]string{tokenEnv: "Bearer a.b.c"}},
		{statusTest{"token of white space", []string{"-reflect", "127.0.0.1:1", "-insecure-plaintext"}, 2, "reflection: "}, map[string]string{tokenEnv: " \n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, stdout, stderr := command(t, test.environment, test.args...)
			if secret := test.environment[tokenEnv]; strings.TrimSpace(secret) != "" && strings.Contains(stdout+stderr, secret) {
				t.Errorf("the output has the token:\n%s\n%s", stdout, stderr)
			}
			test.run(t, test.environment)
		})
	}
}

// A policy with a byte order mark is read; one in YAML is refused with advice.
func TestPolicyEncodings(t *testing.T) {
	const document = `{"methods": {"/a.B/C": {"public": true}}}`
	for _, test := range []statusTest{
		{"byte order mark", []string{"-policy", file(t, "\ufeff"+document)}, 0, "/a.B/C"},
		{"UTF-16", []string{"-policy", file(t, "\xff\xfe{\x00")}, 1, "save the document as UTF-8"},
		{"YAML", []string{"-policy", file(t, "methods:\n  /a.B/C: {public: true}\n")}, 1, "convert YAML"},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, nil) })
	}
}
