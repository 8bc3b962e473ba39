// Package strictjson reads JSON objects with exact names: it compares them byte for
// byte, and refuses an object that names a member twice, at every depth.
//
// encoding/json folds case ("AUD" fills a field tagged "aud") and lets the last of two
// equal names win, so that two readers of one signed document can see different claims.
// RFC 7519, section 4, allows refusing duplicates, and RFC 8725, section 2.4, explains
// the need.
//
// It reads each document in one pass that hardly allocates: a server parses every token
// of every stranger, before any signature check. encoding/json would take most of that
// time and, for a document of brackets, twenty times its size in memory. Both packages
// accept the same objects, nesting and duplicates aside; FuzzObject checks this.
package strictjson

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
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

// Object calls visit for each member of the JSON object doc, in the order of the
// document. name is unescaped; value is the text of the value without white space
// around it. Both share memory with doc where they can. visit may be nil.
//
// Object stops at the first error: it returns an error of visit as it is, or one
// of [ErrSyntax], [ErrDuplicate] and [ErrDepth]. visit sees the members before an
// error, so a caller must use nothing that visit collected unless Object returns
// nil.
func Object(doc string, visit func(name, value string) error) error {
	return scan(scanner{doc: doc}, visit)
}

// Nested is [Object] for a value that Object passed to visit. It does not search
// for duplicates, because Object did so inside the value too.
func Nested(value string, visit func(name, value string) error) error {
	return scan(scanner{doc: value, knownDistinct: true}, visit)
}

func scan(s scanner, visit func(name, value string) error) error {
	s.skipSpace()
	if s.peek() != '{' || !utf8.ValidString(s.doc) {
		return ErrSyntax
	}
	defer s.names.release()
	if err := s.object(visit); err != nil {
		return err
	}
	if s.skipSpace(); s.pos != len(s.doc) {
		return ErrSyntax
	}
	return nil
}

// String returns the text of a value from [Object], and reports whether it is a
// JSON string.
func String(value string) (string, bool) {
	if value == "" || value[0] != '"' {
		return "", false
	}
	text := value[1 : len(value)-1]
	if strings.IndexByte(text, '\\') >= 0 {
		text = string(appendUnescaped(make([]byte, 0, len(text)), text))
	}
	return text, true
}

// Strings returns the elements of a value from [Object], and reports whether it is
// a JSON array of strings and nothing else.
func Strings(value string) ([]string, bool) {
	s := scanner{doc: value}
	if s.peek() != '[' {
		return nil, false
	}
	texts := make([]string, 0, strings.Count(value, `"`)/2)
	more, err := s.open(']')
	for more && err == nil {
		start := s.pos
		escaped, firstErr := s.scanString()
		if firstErr != nil {
			return nil, false
		}
		text := value[start+1 : s.pos-1]
		if escaped {
			text = s.unescape(text) // one allocation for all elements
		}
		texts = append(texts, text)
		more, err = s.next(']')
	}
	return texts, err == nil && s.pos == len(value)
}

// appendUnescaped appends the text of a valid JSON string without its quotes, as
// encoding/json reads it: half of a surrogate pair becomes U+FFFD.
func appendUnescaped(text []byte, source string) []byte {
	for {
		plain := strings.IndexByte(source, '\\')
		if plain < 0 {
			return append(text, source...)
		}
		text = append(text, source[:plain]...)
		escape := source[plain+1]
		source = source[plain+2:]
		switch escape {
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			r := hexRune(source)
			source = source[4:]
			if utf16.IsSurrogate(r) {
				second := rune(utf8.RuneError)
				if strings.HasPrefix(source, `\u`) {
					second = hexRune(source[2:])
				}
				if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
					source = source[6:]
				}
			}
			text = utf8.AppendRune(text, r)
		default:
			text = append(text, escape)
		}
	}
}

// hexRune returns the value of the four hexadecimal digits at the start of digits.
func hexRune(digits string) (r rune) {
	for _, c := range []byte(digits[:4]) {
		switch {
		case c >= 'a':
			c -= 'a' - 10
		case c >= 'A':
			c -= 'A' - 10
		default:
			c -= '0'
		}
		r = r<<4 | rune(c)
	}
	return r
}

// maxNumber bounds the text of a time. encoding/json writes at most 24 characters,
// and strconv copies a longer text into its error.
const maxNumber = 64

// Time returns the instant of a value from [Object], and reports whether it is a
// NumericDate of RFC 7519, section 2: a JSON number of seconds since 1970, perhaps
// with a fraction, between the years 1970 and 9999 and of at most 64 characters.
func Time(value string) (time.Time, bool) {
	const year10000 = 253402300800
	if len(value) > maxNumber {
		return time.Time{}, false
	}
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
