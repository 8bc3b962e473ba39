package jws

import (
	"maps"
	"strings"
	"sync/atomic"
)

// Headers remembers the headers of tokens that were verified, so that a token with one
// of them needs no parsing of its header. An issuer has about as many headers as keys.
// The zero value remembers none. It is safe for concurrent use; readers take no lock.
type Headers struct {
	set        atomic.Pointer[headerSet]
	incomplete atomic.Bool
}

// A headerSet is a set of headers. It is not empty and never changes.
type headerSet struct {
	text   string  // the encoded header of the first token, with the dot behind it
	first  Header  // most servers need no other
	others headers // by their encoded text, without the dot
}

type headers map[string]*Header

const (
	// maxHeaders bounds the headers that are remembered. Servers with a thousand issuers
	// need as many.
	maxHeaders = 1024
	// maxHeaderText bounds an encoded header that is remembered. Auth0's have 80
	// characters.
	maxHeaderText = 1024
)

// Find returns the header that raw begins with, or nil if it is not remembered. It is
// shared: the caller must not change it.
func (h *Headers) Find(raw string) *Header {
	set := h.set.Load()
	switch {
	case set == nil:
		return nil
	case strings.HasPrefix(raw, set.text):
		return &set.first
	case set.others == nil:
		return nil
	}
	end := strings.IndexByte(raw[:min(len(raw), maxHeaderText+1)], '.')
	if end < 0 {
		return nil
	}
	return set.others[raw[:end]]
}

// Incomplete reports whether a header that was added is not remembered: it was too long,
// or there were too many.
func (h *Headers) Incomplete() bool { return h.incomplete.Load() }

// Add remembers the header of a parsed token. Only tokens that were verified may be added,
// or strangers would fill the set.
func (h *Headers) Add(t *Token) {
	text := t.signingInput[:strings.IndexByte(t.signingInput, '.')+1]
	for h.Find(text) == nil {
		old := h.set.Load()
		if len(text) > maxHeaderText+1 || old != nil && len(old.others)+1 >= maxHeaders {
			h.incomplete.Store(true)
			return
		}
		set := new(headerSet)
		text := strings.Clone(text) // or the set would keep the token in memory
		if old == nil {
			set.text, set.first = text, t.Header
		} else {
			set.text, set.first, set.others = old.text, old.first, maps.Clone(old.others)
			if set.others == nil {
				set.others = headers{}
			}
			header := t.Header
			set.others[text[:len(text)-1]] = &header
		}
		if h.set.CompareAndSwap(old, set) {
			return
		}
	}
}
