package auth0grpc

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// A proxy that makes message types at run time cannot fill the memory of a row.
func TestMessageFormsAreBounded(t *testing.T) {
	name := "forms.proto"
	described := &descriptorpb.FileDescriptorProto{Name: &name}
	for n := range maxForms + 2 {
		message := fmt.Sprintf("M%d", n)
		described.MessageType = append(described.MessageType, &descriptorpb.DescriptorProto{Name: &message})
	}
	file, err := protodesc.NewFile(described, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	rule := Authenticated().Relation("viewer", "system:main")
	m := newMessageRules(&rule)
	for n := range maxForms + 2 {
		if form := m.form("/a.B/C", file.Messages().Get(n)); form.err != nil || len(form.relations) != 1 {
			t.Fatalf("form %d: %+v", n, form)
		}
	}
	if n := len(*m.forms.Load()); n != maxForms {
		t.Errorf("%d forms, want %d", n, maxForms)
	}
}
