package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// A node is a value of a document, or of the options of a .proto file, which are
// brought into the same form. Its value is an object, an array, a string, a
// json.Number, a bool or nil.
type node struct {
	offset int // where it begins in the document
	val    any
}

type object []member

type array []node

// A member is one of an object. Names are compared byte for byte; encoding/json's
// own decoding into structs, which folds case and lets the last of two win, is not
// used (hashicorp/cap#191).
type member struct {
	name   string
	label  string // the name as the author of the policy wrote it
	offset int
	value  node
}

// parseNode reads the one JSON value of doc. Duplicate names are added to found,
// the first of them stays; a document that is not JSON has one fault and no value.
func parseNode(doc []byte, errs *faults) (node, bool) {
	if offset := invalidUTF8(doc); offset >= 0 {
		errs.add(offset, "$", "is not UTF-8; save the document as UTF-8")
		return node{}, false
	}
	var all json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		offset := len(doc)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) && syntax.Offset > 0 && !strings.HasPrefix(syntax.Error(), "unexpected end") {
			offset = int(syntax.Offset) - 1
		}
		advice := ""
		if start := bytes.TrimLeft(doc, " \t\r\n"); len(start) > 0 && start[0] != '{' {
			advice = "; convert YAML by a strict reader first, see the documentation of package policy"
		}
		errs.add(offset, "$", "is not JSON: %s%s", strings.TrimPrefix(err.Error(), "json: "), advice)
		return node{}, false
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	b := builder{doc: doc, decoder: decoder, errs: errs}
	return b.value("$"), true
}

func invalidUTF8(doc []byte) int {
	for i := 0; i < len(doc); {
		r, size := utf8.DecodeRune(doc[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// A builder makes nodes of a document that is known to be JSON.
type builder struct {
	doc      []byte
	decoder  *json.Decoder
	errs     *faults
	newlines []int // the offsets of the line breaks passed so far
	scanned  int   // the part of doc that newlines covers
}

// line returns the number of the line at an offset that the decoder has passed.
func (b *builder) line(offset int) int {
	for ; b.scanned < int(b.decoder.InputOffset()); b.scanned++ {
		if b.doc[b.scanned] == '\n' {
			b.newlines = append(b.newlines, b.scanned)
		}
	}
	i, _ := slices.BinarySearch(b.newlines, offset)
	return 1 + i
}

// next returns a token and where it begins.
func (b *builder) next() (json.Token, int) {
	offset := int(b.decoder.InputOffset())
	for offset < len(b.doc) && strings.IndexByte(" \t\r\n,:", b.doc[offset]) >= 0 {
		offset++
	}
	token, err := b.decoder.Token()
	if err != nil {
		panic(fmt.Sprintf("policy: valid JSON has no token at %d: %v", offset, err))
	}
	return token, offset
}

func (b *builder) value(path string) node {
	token, offset := b.next()
	switch token {
	case json.Delim('{'):
		return node{offset, b.object(path)}
	case json.Delim('['):
		return node{offset, b.array(path)}
	}
	return node{offset, token}
}

func (b *builder) object(path string) object {
	all := object{}
	seen := map[string]int{} // name to place
	for b.decoder.More() {
		token, offset := b.next()
		name := token.(string)
		m := member{name: name, label: name, offset: offset, value: b.value(path + memberStep(name))}
		if first, ok := seen[name]; ok {
			b.errs.add(offset, path+memberStep(name), "is there twice, first in line %d", b.line(first))
			continue
		}
		seen[name] = offset
		all = append(all, m)
	}
	b.next()
	return all
}

func (b *builder) array(path string) array {
	all := array{}
	for b.decoder.More() {
		all = append(all, b.value(element(path, len(all))))
	}
	b.next()
	return all
}

var plainName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

// memberStep returns a name as a step of a path.
func memberStep(name string) string {
	if plainName.MatchString(name) {
		return "." + name
	}
	return fmt.Sprintf("[%q]", name)
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
