package auth0grpctest

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
)

// foreignID is the value of the fields in a request for a record of another party, and
// foreignNumber the value of integers. No party should have them.
const (
	foreignID     = "auth0grpctest-foreign"
	foreignNumber = 1_999_999_999
)

// needsMessage reports whether the rule has requirements on the request message. An empty
// message meets none.
func (r *sweepRule) needsMessage() bool { return len(r.Same)+len(r.Relation) > 0 }

// passes reports whether a call with an empty message and a token with the grants meets
// the rule.
func (r *sweepRule) passes(g grants) bool { return r.met(g) && !r.needsMessage() }

var templateField = regexp.MustCompile(`\{([^{}]+)\}`)

// messageFields returns the fields that the rule names.
func (r *sweepRule) messageFields() []string {
	var fields []string
	for _, s := range decodeList[struct{ Field string }](r.Same) {
		fields = append(fields, s.Field)
	}
	for _, relation := range decodeList[struct{ Object string }](r.Relation) {
		for _, match := range templateField.FindAllStringSubmatch(relation.Object, -1) {
			fields = append(fields, match[1])
		}
	}
	return fields
}

// decodeList decodes an object, or an array of objects.
func decodeList[T any](text json.RawMessage) []T {
	if bytes.HasPrefix(text, []byte("{")) {
		text = append(append([]byte("["), text...), ']')
	}
	var all []T
	_ = json.Unmarshal(text, &all) // the text is from MarshalJSON
	return all
}

// foreignMessage returns a request for a record of another party, or nil for a method
// without a descriptor.
func (r *sweepRule) foreignMessage(fullMethod string) []byte {
	service, method, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	descriptor, _ := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	described, ok := descriptor.(protoreflect.ServiceDescriptor)
	if !ok || described.Methods().ByName(protoreflect.Name(method)) == nil {
		return nil
	}
	message := dynamicpb.NewMessage(described.Methods().ByName(protoreflect.Name(method)).Input())
	for _, field := range r.messageFields() {
		setForeign(message, strings.Split(field, "."))
	}
	text, err := proto.Marshal(message)
	if err != nil {
		return nil
	}
	return text
}

// setForeign sets the field that path names. A field that does not exist stays unset: the
// call must be refused all the more.
func setForeign(message protoreflect.Message, path []string) {
	field := message.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	switch {
	case field == nil || field.IsMap():
	case field.Message() != nil && len(path) > 1 && field.IsList():
		setForeign(message.Mutable(field).List().AppendMutable().Message(), path[1:])
	case field.Message() != nil && len(path) > 1:
		setForeign(message.Mutable(field).Message(), path[1:])
	default:
		value, ok := foreignValue(field.Kind())
		switch {
		case !ok:
		case field.IsList():
			message.Mutable(field).List().Append(value)
		default:
			message.Set(field, value)
		}
	}
}

func foreignValue(kind protoreflect.Kind) (protoreflect.Value, bool) {
	switch kind {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(foreignID), true
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(foreignNumber), true
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(foreignNumber), true
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(foreignNumber), true
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(foreignNumber), true
	}
	return protoreflect.Value{}, false
}
