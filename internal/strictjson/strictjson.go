// Package strictjson reads JSON objects in which names mean exactly what they
// say: they are compared byte for byte, and an object that names a member
// twice is refused, at every depth.
//
// encoding/json folds case ("AUD" fills a field tagged "aud") and lets the last
// of two equal names win, so that two readers of one signed document can see
// different claims. RFC 7519, section 4, allows refusing duplicates, and RFC
// 8725, section 2.4, tells why one should.
//
// The syntax itself is checked by encoding/json; this package only splits what
// is known to be valid.
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxDepth bounds nesting. Tokens nest three or four levels; the bound keeps
// the recursion of a hostile document shallow.
const maxDepth = 32

var (
	// ErrSyntax reports a document that is not one JSON object in UTF-8.
	ErrSyntax = errors.New("strictjson: not a JSON object")
	// ErrDuplicate reports an object that has two members of the same name.
	ErrDuplicate = errors.New("strictjson: duplicate member name")
	// ErrDepth reports nesting beyond the bound of 32 levels.
	ErrDepth = errors.New("strictjson: nested too deeply")
)

// Object calls visit for each member of the JSON object doc, in the order of
// the document, with its unescaped name and its value as it stands, without
// white space around it. name and value share memory with doc where they can.
// An error of visit ends the walk and is returned as it is; duplicates are
// reported only after every member was visited, so what visit collected counts
// for nothing unless Object returns nil.
func Object(doc string, visit func(name, value string) error) error {
	if tooDeep(doc) {
		return ErrDepth
	}
	if !json.Valid([]byte(doc)) || !utf8.ValidString(doc) {
		return ErrSyntax
	}
	s := scanner{doc: doc}
	s.space()
	if s.doc[s.pos] != '{' {
		return ErrSyntax
	}
	return s.object(visit)
}

// tooDeep reports whether doc, if it is JSON at all, nests beyond maxDepth. It is
// asked first: encoding/json keeps a stack ten thousand levels deep, and a token
// of brackets would cost twenty times its size in memory to refuse.
func tooDeep(doc string) bool {
	depth, quoted := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
			if c == '\\' {
				i++
			}
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// String returns the text of a value that Object handed out, and reports
// whether it is a JSON string.
func String(value string) (string, bool) {
	if value == "" || value[0] != '"' {
		return "", false
	}
	if strings.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], true
	}
	var text string
	if err := json.Unmarshal([]byte(value), &text); err != nil {
		return "", false
	}
	return text, true
}

// Strings returns the elements of a value that Object handed out, and reports
// whether it is a JSON array of strings and nothing else.
func Strings(value string) ([]string, bool) {
	if value == "" || value[0] != '[' {
		return nil, false
	}
	s := scanner{doc: value, pos: 1}
	texts := []string{}
	for s.space(); s.doc[s.pos] != ']'; s.space() {
		if s.doc[s.pos] == ',' {
			s.pos++
			s.space()
		}
		if s.doc[s.pos] != '"' {
			return nil, false
		}
		start := s.pos
		s.text()
		text, ok := String(s.doc[start:s.pos])
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// Time returns the instant of a value that Object handed out, and reports
// whether it is a NumericDate of RFC 7519, section 2: a JSON number of seconds
// since 1970, perhaps with a fraction, here between the years 1970 and 9999.
func Time(value string) (time.Time, bool) {
	const year10000 = 253402300800
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Unix(seconds, 0), seconds >= 0 && seconds < year10000
	}
	if value == "" || value[0] != '-' && (value[0] < '0' || value[0] > '9') {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil || seconds < 0 || seconds >= year10000 {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// scanner splits a document that is known to be valid JSON and not too deep.
type scanner struct {
	doc string
	pos int
}

// object walks the object that starts at pos; visit may be nil.
func (s *scanner) object(visit func(name, value string) error) error {
	var buffer [16]string // enough for a token's claims, so that they are not allocated
	names := buffer[:0]
	s.pos++ // {
	for s.space(); s.doc[s.pos] != '}'; s.space() {
		if s.doc[s.pos] == ',' {
			s.pos++
			s.space()
		}
		name, err := s.name()
		if err != nil {
			return err
		}
		names = append(names, name)
		start := s.pos
		if err := s.value(); err != nil {
			return err
		}
		if visit != nil {
			if err := visit(name, s.doc[start:s.pos]); err != nil {
				return err
			}
		}
	}
	s.pos++ // }
	return distinct(names)
}

// distinct sorts names, so that thousands of members cost no quadratic search.
func distinct(names []string) error {
	slices.Sort(names)
	for i := 1; i < len(names); i++ {
		if names[i] == names[i-1] {
			return ErrDuplicate
		}
	}
	return nil
}

// name reads a member's name and the colon, and stops at its value.
func (s *scanner) name() (string, error) {
	start := s.pos
	s.text()
	name, ok := String(s.doc[start:s.pos])
	if !ok {
		return "", fmt.Errorf("%w: member name", ErrSyntax)
	}
	s.space()
	s.pos++ // :
	s.space()
	return name, nil
}

// value skips the value at pos, looking into it for duplicate names.
func (s *scanner) value() error {
	switch s.doc[s.pos] {
	case '{':
		return s.object(nil)
	case '[':
		return s.array()
	case '"':
		s.text()
	default: // number, true, false, null
		for s.pos < len(s.doc) && strings.IndexByte(",]} \t\r\n", s.doc[s.pos]) < 0 {
			s.pos++
		}
	}
	return nil
}

func (s *scanner) array() error {
	s.pos++ // [
	for s.space(); s.doc[s.pos] != ']'; s.space() {
		if s.doc[s.pos] == ',' {
			s.pos++
			s.space()
		}
		if err := s.value(); err != nil {
			return err
		}
	}
	s.pos++ // ]
	return nil
}

// text skips the string at pos.
func (s *scanner) text() {
	for s.pos++; s.doc[s.pos] != '"'; s.pos++ {
		if s.doc[s.pos] == '\\' {
			s.pos++
		}
	}
	s.pos++
}

func (s *scanner) space() {
	for s.pos < len(s.doc) && (s.doc[s.pos] == ' ' || s.doc[s.pos] == '\t' || s.doc[s.pos] == '\n' || s.doc[s.pos] == '\r') {
		s.pos++
	}
}
