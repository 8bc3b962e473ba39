// Package base64url encodes and decodes base64url without padding (RFC 7515, section
// 2). Each value has one spelling.
package base64url

import (
	"encoding/base64"
	"strings"
)

// strict refuses stray bits in the last character: they make a second spelling.
var strict = base64.RawURLEncoding.Strict()

// Encode returns the encoding of data.
func Encode(data []byte) string { return strict.EncodeToString(data) }

// AppendEncode appends the encoding of data to dst.
func AppendEncode(dst, data []byte) []byte { return strict.AppendEncode(dst, data) }

// Decode decodes s, and reports whether s is the encoding of a value. It refuses the
// line breaks that encoding/base64 skips.
func Decode(s string) ([]byte, bool) {
	if strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, '\n') >= 0 {
		return nil, false
	}
	data, err := strict.DecodeString(s)
	return data, err == nil
}
