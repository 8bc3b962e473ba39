// Package strictjson reads JSON objects in which names mean exactly what they
// say: they are compared byte for byte, and an object that names a member
// twice is refused, at every depth.
//
// encoding/json folds case ("AUD" fills a field tagged "aud") and lets the last
// of two equal names win, so that two readers of one signed document can see
// different claims. RFC 7519, section 4, allows refusing duplicates, and RFC
// 8725, section 2.4, tells why one should.
//
// It reads each document in one pass that hardly allocates: it is what a server
// does for every stranger, before any signature, and encoding/json would take the
// better part of that time and, for a document of brackets, twenty times its size
// in memory. What encoding/json takes for an object is what this package takes
// for one, nesting and duplicates aside; FuzzObject holds it to that.
package strictjson

import (
	"encoding/json"
	"errors"
	"math"
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
// visit is not called again after it has returned an error, which Object then
// returns as it is. Syntax is judged to the end all the same and comes first, so
// what visit collected counts for nothing unless Object returns nil.
func Object(doc string, visit func(name, value string) error) error {
	s := scanner{doc: doc}
	s.space()
	if s.next() != '{' || !utf8.ValidString(doc) {
		return ErrSyntax
	}
	if err := s.object(visit); err != nil {
		return err
	}
	if s.space(); s.pos != len(doc) {
		return ErrSyntax
	}
	return s.fault
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
	texts := []string{}
	s := scanner{doc: value}
	err := s.array(func(element string) error {
		text, ok := String(element)
		if !ok {
			return ErrSyntax
		}
		texts = append(texts, text)
		return nil
	})
	if err != nil || s.fault != nil {
		return nil, false
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
