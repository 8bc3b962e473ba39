package strictjson

import (
	"math/bits"
	"strings"
	"unsafe"
)

// A scanner reads one JSON document (RFC 8259). Its methods start at pos and stop
// behind the part that they read. They return the first error that they meet and never
// read the rest of a hostile document.
type scanner struct {
	doc           string
	pos           int
	depth         int
	knownDistinct bool // the names of doc are known to be distinct
	names         nameStack
	text          []byte // the unescaped names; it only grows, so strings may point into it
}

// peek returns the byte at pos, or 0 at the end: no part of JSON begins with it.
func (s *scanner) peek() byte {
	if s.pos < len(s.doc) {
		return s.doc[s.pos]
	}
	return 0
}

func (s *scanner) skipSpace() {
	for c := s.peek(); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = s.peek() {
		s.pos++
	}
}

// object reads an object and calls visit for each member. visit may be nil.
func (s *scanner) object(visit func(name, value string) error) error {
	more, err := s.open('}')
	start := s.names.count
	for more && err == nil {
		var name string
		if name, err = s.name(); err != nil {
			return err
		}
		if !s.knownDistinct && !s.names.add(start, name, s.names.count*len(s.doc)/s.pos) {
			return ErrDuplicate
		}
		valueStart := s.pos
		if err = s.value(); err != nil {
			return err
		}
		if visit != nil {
			if err = visit(name, s.doc[valueStart:s.pos]); err != nil {
				return err
			}
		}
		more, err = s.next('}')
	}
	s.names.count = start
	return err
}

// array reads an array.
func (s *scanner) array() error {
	more, err := s.open(']')
	for more && err == nil {
		if err = s.value(); err != nil {
			return err
		}
		more, err = s.next(']')
	}
	return err
}

// open reads an opening bracket, and the closing one if it follows. It reports
// whether an item follows.
func (s *scanner) open(closing byte) (more bool, err error) {
	if s.depth++; s.depth > maxDepth {
		return false, ErrDepth
	}
	s.pos++
	if s.skipSpace(); s.peek() == closing {
		s.pos++
		s.depth--
		return false, nil
	}
	return true, nil
}

// next reads a comma or the closing bracket behind an item. It reports whether
// another item follows.
func (s *scanner) next(closing byte) (more bool, err error) {
	s.skipSpace()
	switch s.peek() {
	case ',':
		s.pos++
		s.skipSpace()
		return true, nil
	case closing:
		s.pos++
		s.depth--
		return false, nil
	}
	return false, ErrSyntax
}

// name reads a member's name and the colon, up to its value.
func (s *scanner) name() (string, error) {
	start := s.pos
	escaped, err := s.scanString()
	if err != nil {
		return "", err
	}
	name := s.doc[start+1 : s.pos-1]
	if escaped {
		name = s.unescape(name)
	}
	if s.skipSpace(); s.peek() != ':' {
		return "", ErrSyntax
	}
	s.pos++
	s.skipSpace()
	return name, nil
}

// unescape returns the text of a name that has escapes. Unescaped text is never
// longer than its source, so all names of a document share one allocation.
func (s *scanner) unescape(name string) string {
	if s.text == nil {
		s.text = make([]byte, 0, len(s.doc))
	}
	start := len(s.text)
	s.text = appendUnescaped(s.text, name)
	return unsafe.String(unsafe.SliceData(s.text[start:]), len(s.text)-start)
}

// value reads a value of any kind and refuses duplicate names inside it.
func (s *scanner) value() error {
	switch c := s.peek(); {
	case c == '"':
		_, err := s.scanString()
		return err
	case c == '{':
		return s.object(nil)
	case c == '[':
		return s.array()
	case c == '-' || isDigit(c):
		return s.number()
	}
	for _, literal := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(s.doc[s.pos:], literal) {
			s.pos += len(literal)
			return nil
		}
	}
	return ErrSyntax
}

// scanString reads a string and reports whether it has escapes.
func (s *scanner) scanString() (escaped bool, err error) {
	if s.peek() != '"' {
		return false, ErrSyntax
	}
	for s.pos++; s.pos < len(s.doc); s.pos++ {
		s.pos += plain(s.doc[s.pos:])
		switch c := s.peek(); {
		case c == '"':
			s.pos++
			return escaped, nil
		case c < ' ':
			return false, ErrSyntax
		case c == '\\':
			escaped = true
			if s.pos++; !s.escape() {
				return false, ErrSyntax
			}
		}
	}
	return false, ErrSyntax
}

// plain returns how many bytes at the start of text mean themselves in a string, or
// fewer. It looks at eight bytes at once: special has the highest bit of each byte that
// is a quote, a backslash or a control character. A borrow can set other bits, but
// only above the first such byte.
func plain(text string) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; n+8 <= len(text); n += 8 {
		word := uint64(text[n]) | uint64(text[n+1])<<8 | uint64(text[n+2])<<16 | uint64(text[n+3])<<24 |
			uint64(text[n+4])<<32 | uint64(text[n+5])<<40 | uint64(text[n+6])<<48 | uint64(text[n+7])<<56
		quote, backslash := word^ones*'"', word^ones*'\\'
		special := (word-ones*' ')&^word | (quote-ones)&^quote | (backslash-ones)&^backslash
		if special &= high; special != 0 {
			return n + bits.TrailingZeros64(special)/8
		}
	}
	return n
}

// escape reads the part of an escape behind the backslash, except its last byte.
func (s *scanner) escape() bool {
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
	default:
		return false
	}
	for range 4 {
		s.pos++
		if c := s.peek(); !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return ErrSyntax
	}
	if s.peek() == '.' {
		if s.pos++; !s.digits() {
			return ErrSyntax
		}
	}
	if s.peek() == 'e' || s.peek() == 'E' {
		s.pos++
		if s.peek() == '+' || s.peek() == '-' {
			s.pos++
		}
		if !s.digits() {
			return ErrSyntax
		}
	}
	return nil
}

// digits reads digits and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	return s.pos > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
