package strictjson

import (
	"slices"
	"strings"
)

// A scanner reads one JSON document (RFC 8259). Its methods begin at pos and stop
// behind what they have read. Their errors are ErrSyntax and ErrDepth; other
// faults are kept, because what is no JSON at all is called that first.
type scanner struct {
	doc   string
	pos   int
	depth int
	fault error // the first that is not one of syntax
}

// next returns the byte at pos, or 0 at the end: no part of JSON begins with it.
func (s *scanner) next() byte {
	if s.pos < len(s.doc) {
		return s.doc[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for c := s.next(); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = s.next() {
		s.pos++
	}
}

// object reads an object and hands its members to visit, which may be nil.
func (s *scanner) object(visit func(name, value string) error) error {
	var buffer [16]string // enough for a token's claims, so that they are not allocated
	names := buffer[:0]
	err := s.list('}', func() error {
		name, err := s.name()
		if err != nil {
			return err
		}
		names = append(names, name)
		start := s.pos
		if err := s.value(); err != nil {
			return err
		}
		if visit != nil && s.fault == nil {
			s.fault = visit(name, s.doc[start:s.pos])
		}
		return nil
	})
	if err == nil && s.fault == nil {
		s.fault = distinct(names)
	}
	return err
}

// array reads an array and hands its elements to visit, which may be nil.
func (s *scanner) array(visit func(value string) error) error {
	return s.list(']', func() error {
		start := s.pos
		if err := s.value(); err != nil {
			return err
		}
		if visit != nil && s.fault == nil {
			s.fault = visit(s.doc[start:s.pos])
		}
		return nil
	})
}

// list reads what stands between brackets, with commas between its items.
func (s *scanner) list(closing byte, item func() error) error {
	if s.depth++; s.depth > maxDepth {
		return ErrDepth
	}
	s.pos++ // the opening bracket
	if s.space(); s.next() == closing {
		s.pos++
		s.depth--
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		s.space()
		switch s.next() {
		case ',':
			s.pos++
			s.space()
		case closing:
			s.pos++
			s.depth--
			return nil
		default:
			return ErrSyntax
		}
	}
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

// name reads a member's name and the colon, up to its value.
func (s *scanner) name() (string, error) {
	start := s.pos
	if err := s.text(); err != nil {
		return "", err
	}
	name, ok := String(s.doc[start:s.pos])
	if s.space(); !ok || s.next() != ':' {
		return "", ErrSyntax
	}
	s.pos++
	s.space()
	return name, nil
}

// value reads a value of any kind, looking into it for duplicate names.
func (s *scanner) value() error {
	switch c := s.next(); {
	case c == '"':
		return s.text()
	case c == '{':
		return s.object(nil)
	case c == '[':
		return s.array(nil)
	case c == '-' || isDigit(c):
		return s.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if strings.HasPrefix(s.doc[s.pos:], word) {
			s.pos += len(word)
			return nil
		}
	}
	return ErrSyntax
}

func (s *scanner) text() error {
	if s.next() != '"' {
		return ErrSyntax
	}
	for s.pos++; s.pos < len(s.doc); s.pos++ {
		switch c := s.doc[s.pos]; {
		case c == '"':
			s.pos++
			return nil
		case c < ' ':
			return ErrSyntax
		case c == '\\':
			if s.pos++; !s.escape() {
				return ErrSyntax
			}
		}
	}
	return ErrSyntax
}

// escape reads what follows a backslash, but for its last byte.
func (s *scanner) escape() bool {
	if s.next() != 'u' {
		return strings.IndexByte(`"\/bfnrt`, s.next()) >= 0
	}
	for range 4 {
		s.pos++
		if c := s.next(); !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

func (s *scanner) number() error {
	if s.next() == '-' {
		s.pos++
	}
	if s.next() == '0' {
		s.pos++
	} else if !s.digits() {
		return ErrSyntax
	}
	if s.next() == '.' {
		if s.pos++; !s.digits() {
			return ErrSyntax
		}
	}
	if s.next() == 'e' || s.next() == 'E' {
		s.pos++
		if s.next() == '+' || s.next() == '-' {
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
	for isDigit(s.next()) {
		s.pos++
	}
	return s.pos > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
