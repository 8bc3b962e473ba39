package jws

import (
	"slices"
	"strings"
	"sync/atomic"
)

// Headers remembers the headers of tokens that were verified, so that a token with one
// of them needs no parsing of its header. An issuer has about as many headers as keys.
// The zero value remembers none. It is safe for concurrent use; readers take no lock.
type Headers struct {
	list atomic.Pointer[[]encodedHeader]
}

// An encodedHeader is a header and its encoded text, with the dot behind it.
type encodedHeader struct {
	text   string
	header Header
}

// maxHeaders bounds the headers that are remembered. An issuer that signs more different
// ones fills it up. The headers of other tokens are then parsed.
const maxHeaders = 32

// Find returns the header that raw begins with, or nil if it is not remembered. It is
// shared: the caller must not change it.
func (h *Headers) Find(raw string) *Header {
	known := h.list.Load()
	if known == nil {
		return nil
	}
	for i := range *known {
		if e := &(*known)[i]; strings.HasPrefix(raw, e.text) {
			return &e.header
		}
	}
	return nil
}

// Full reports whether there is no room for another header. Until then each header that
// was added is found.
func (h *Headers) Full() bool {
	known := h.list.Load()
	return known != nil && len(*known) >= maxHeaders
}

// Add remembers the header of a parsed token. Only tokens that were verified may be added,
// or strangers would fill the list.
func (h *Headers) Add(t *Token) {
	text := t.signingInput[:strings.IndexByte(t.signingInput, '.')+1]
	for {
		known := h.list.Load()
		var list []encodedHeader
		if known != nil {
			list = *known
		}
		if len(list) >= maxHeaders || slices.ContainsFunc(list, func(e encodedHeader) bool { return e.text == text }) {
			return
		}
		// The clone keeps no part of the token alive with the header.
		list = append(slices.Clone(list), encodedHeader{strings.Clone(text), t.Header})
		if h.list.CompareAndSwap(known, &list) {
			return
		}
	}
}
