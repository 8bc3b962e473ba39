// Package base64url encodes and decodes base64url without padding (RFC 7515, section
// 2). Each value has one spelling.
package base64url

import "encoding/base64"

// strict refuses stray bits in the last character: they make a second spelling.
var strict = base64.RawURLEncoding.Strict()

// Encode returns the encoding of data.
func Encode(data []byte) string { return strict.EncodeToString(data) }

// AppendEncode appends the encoding of data to dst.
func AppendEncode(dst, data []byte) []byte { return strict.AppendEncode(dst, data) }

// Decode decodes s, and reports whether s is the encoding of a value.
//
// It refuses the line breaks that encoding/base64 skips. They make the result shorter
// than the text says, unless the length of the text is 1 modulo 4. No encoding has such a
// length.
func Decode(s string) ([]byte, bool) { return AppendDecode(nil, s) }

// AppendDecode is [Decode] that appends to dst.
func AppendDecode(dst []byte, s string) ([]byte, bool) {
	data, err := strict.AppendDecode(dst, []byte(s))
	return data, err == nil && len(s)%4 != 1 && len(data) == len(dst)+strict.DecodedLen(len(s))
}
