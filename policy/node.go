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
	at    int // where it begins in the document
	value any
}

type object []member

type array []node

// A member is one of an object. Names are compared byte for byte; encoding/json's
// own decoding into structs, which folds case and lets the last of two win, is not
// used (hashicorp/cap#191).
type member struct {
	name  string
	label string // the name as the author of the policy wrote it
	at    int
	value node
}

// parseNode reads the one JSON value of doc. Duplicate names are added to found,
// the first of them stays; a document that is not JSON has one fault and no value.
func parseNode(doc []byte, found *faults) (node, bool) {
	if at := invalidUTF8(doc); at >= 0 {
		found.add(at, "$", "is not UTF-8; save the document as UTF-8")
		return node{}, false
	}
	var all json.RawMessage
	if err := json.Unmarshal(doc, &all); err != nil {
		at := len(doc)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) && syntax.Offset > 0 && !strings.HasPrefix(syntax.Error(), "unexpected end") {
			at = int(syntax.Offset) - 1
		}
		advice := ""
		if start := bytes.TrimLeft(doc, " \t\r\n"); len(start) > 0 && start[0] != '{' {
			advice = "; convert YAML by a strict reader first, see the documentation of package policy"
		}
		found.add(at, "$", "is not JSON: %s%s", strings.TrimPrefix(err.Error(), "json: "), advice)
		return node{}, false
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	b := builder{doc: doc, decoder: decoder, found: found}
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
	found    *faults
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
	at := int(b.decoder.InputOffset())
	for at < len(b.doc) && strings.IndexByte(" \t\r\n,:", b.doc[at]) >= 0 {
		at++
	}
	token, err := b.decoder.Token()
	if err != nil {
		panic(fmt.Sprintf("policy: valid JSON has no token at %d: %v", at, err))
	}
	return token, at
}

func (b *builder) value(path string) node {
	token, at := b.next()
	switch token {
	case json.Delim('{'):
		return node{at, b.object(path)}
	case json.Delim('['):
		return node{at, b.array(path)}
	}
	return node{at, token}
}

func (b *builder) object(path string) object {
	all := object{}
	seen := map[string]int{} // name to place
	for b.decoder.More() {
		token, at := b.next()
		name := token.(string)
		m := member{name: name, label: name, at: at, value: b.value(path + step(name))}
		if first, ok := seen[name]; ok {
			b.found.add(at, path+step(name), "is there twice, first in line %d", b.line(first))
			continue
		}
		seen[name] = at
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

// step returns a name as a step of a path.
func step(name string) string {
	if plainName.MatchString(name) {
		return "." + name
	}
	return fmt.Sprintf("[%q]", name)
}

func element(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
