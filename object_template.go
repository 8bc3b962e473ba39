package auth0grpc

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/auth0grpc/auth0grpc/internal/grammar"
)

// maxObject is the length of the longest object that OpenFGA accepts.
const maxObject = 256

// An objectTemplate is the parsed object of a [relationRule]: texts around fields. It has
// one text more than fields.
type objectTemplate struct {
	texts  []string
	fields []string
	// separators are the characters between two fields. No value may contain one: "a/b"
	// and "c" would otherwise make the same object as "a" and "b/c".
	separators string
}

// parseTemplate returns the template, or its fault.
func parseTemplate(object string) (objectTemplate, string) {
	const want = `want a type and an id with fields of the request, as in "order:{order_id}"`
	var t objectTemplate
	fail := func(reason string) (objectTemplate, string) {
		return objectTemplate{}, fmt.Sprintf("object %q: %s; %s", object, reason, want)
	}
	for rest := object; ; {
		text, after, found := strings.Cut(rest, "{")
		t.texts = append(t.texts, text)
		if strings.Contains(text, "}") {
			return fail("a brace is not in pairs")
		}
		if !found {
			break
		}
		field, after, found := strings.Cut(after, "}")
		if !found || !grammar.IsFieldPath(field) {
			return fail("the braces contain no name of a field")
		}
		if len(t.fields) > 0 {
			if text == "" {
				return fail("two fields have no text between them")
			}
			t.separators += text
		}
		t.fields = append(t.fields, field)
		rest = after
	}
	kind, id, found := strings.Cut(t.texts[0], ":")
	texts := append([]string{kind, id}, t.texts[1:]...)
	switch {
	case !found || kind == "":
		return fail("the type is missing")
	case slices.ContainsFunc(texts, func(text string) bool { return !isPlainID(text) }):
		return fail("the text outside of braces has white space or one of :#*@")
	case len(object) > maxObject:
		return fail("it is too long")
	case id == "" && len(t.fields) == 0:
		return fail("the id is missing")
	}
	return t, ""
}

// accepts reports whether a value may stand for a field.
func (t *objectTemplate) accepts(value string) bool {
	return value != "" && isPlainID(value) && (t.separators == "" || !strings.ContainsAny(value, t.separators))
}

// isPlainUnicode is [isPlainID] for text outside of ASCII.
func isPlainUnicode(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(":#*@", r)
	})
}

// isObject reports whether text is an object that a checker may receive: a type, ":" and
// an id.
func isObject(text string) bool {
	kind, id, found := strings.Cut(text, ":")
	return found && kind != "" && id != "" && len(text) <= maxObject && isPlainID(kind) && isPlainID(id)
}

// objects returns the objects that a message names: one, or one for each element of a
// repeated field. It reports whether all fields are unset, and whether all values may
// stand in an object.
func (t *objectTemplate) objects(paths []fieldPath, message protoreflect.Message) (objects []string, unset, ok bool) {
	objects = []string{t.texts[0]}
	set := 0
	for n, path := range paths {
		var longer []string
		values, ok := path.visit(message, func(value string) bool {
			if !t.accepts(value) || len(longer) == maxObjects {
				return false
			}
			// Only one path is repeated, so either list has one element.
			for _, object := range objects {
				longer = append(longer, object+value+t.texts[n+1])
			}
			return true
		})
		if !ok {
			return nil, false, false
		}
		if values > 0 {
			objects = longer
			set++
		}
	}
	if set == 0 && len(paths) > 0 {
		return nil, true, true
	}
	for _, object := range objects {
		if len(object) > maxObject {
			return nil, false, false
		}
	}
	return objects, false, set == len(paths)
}
