package auth0grpc

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// A fieldPath is a field of a message, by way of the messages that contain it.
type fieldPath []protoreflect.FieldDescriptor

// compilePath finds the field that path names, as in "customer.id". The error names only
// the path and the descriptors.
func compilePath(message protoreflect.MessageDescriptor, path string) (fieldPath, error) {
	var fields fieldPath
	for name := range strings.SplitSeq(path, ".") {
		if message == nil {
			return nil, fmt.Errorf("field %s of %s is no message, so it has no field %s", fields[len(fields)-1].Name(), fields[0].ContainingMessage().FullName(), name)
		}
		if message.IsPlaceholder() {
			return nil, fmt.Errorf("the descriptor of %s is missing", message.FullName())
		}
		field := message.Fields().ByName(protoreflect.Name(name))
		if field == nil {
			return nil, fmt.Errorf("%s has no field %s%s", message.FullName(), name, fieldHint(message, name))
		}
		if field.IsMap() {
			return nil, fmt.Errorf("field %s is a map, which no rule can name", field.FullName())
		}
		fields = append(fields, field)
		message = field.Message()
	}
	if last := fields[len(fields)-1]; !isComparable(last.Kind()) {
		return nil, fmt.Errorf("field %s is of type %s, and a rule needs a string or an integer", last.FullName(), last.Kind())
	}
	return fields, nil
}

// fieldHint returns a hint at the field that was probably meant.
func fieldHint(message protoreflect.MessageDescriptor, name string) string {
	if field := message.Fields().ByJSONName(name); field != nil {
		return fmt.Sprintf("; did you mean %s?", field.Name())
	}
	names := make([]string, message.Fields().Len())
	for i := range names {
		names[i] = string(message.Fields().Get(i).Name())
	}
	return newSuggestions(names).didYouMean(name)
}

func isComparable(kind protoreflect.Kind) bool {
	return kind == protoreflect.StringKind || isSigned(kind) || isUnsigned(kind)
}

func isSigned(kind protoreflect.Kind) bool {
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind,
		protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return true
	}
	return false
}

func isUnsigned(kind protoreflect.Kind) bool {
	switch kind {
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind, protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return true
	}
	return false
}

// isRepeated reports whether the path can have several values.
func (p fieldPath) isRepeated() bool {
	for _, field := range p {
		if field.IsList() {
			return true
		}
	}
	return false
}

// visit calls accept with each value of the field, as text, until accept returns false.
// It returns the number of accepted values, and reports whether all were accepted. An
// element of a repeated message that lacks the field is not accepted. A field that is
// unset has no values.
func (p fieldPath) visit(message protoreflect.Message, accept func(string) bool) (values int, ok bool) {
	field, rest := p[0], p[1:]
	if !message.Has(field) { // for a field without presence: the zero value
		return 0, true
	}
	value := message.Get(field)
	if !field.IsList() {
		return rest.visitElement(field, value, accept)
	}
	list := value.List()
	for i := range list.Len() {
		n, ok := rest.visitElement(field, list.Get(i), accept)
		values += n
		if !ok || n == 0 {
			return values, false
		}
	}
	return values, true
}

// visitElement visits a value of field. The receiver is the rest of the path.
func (p fieldPath) visitElement(field protoreflect.FieldDescriptor, value protoreflect.Value, accept func(string) bool) (int, bool) {
	if len(p) > 0 {
		return p.visit(value.Message(), accept)
	}
	if !accept(textOf(field.Kind(), value)) {
		return 0, false
	}
	return 1, true
}

// textOf returns a string as it is, and an integer in decimal form.
func textOf(kind protoreflect.Kind, value protoreflect.Value) string {
	switch {
	case isSigned(kind):
		return strconv.FormatInt(value.Int(), 10)
	case isUnsigned(kind):
		return strconv.FormatUint(value.Uint(), 10)
	}
	return value.String()
}
