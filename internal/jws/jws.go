// Package jws takes a compact JSON Web Signature (RFC 7515, section 7.1) apart
// and verifies it with one given public key. It trusts nothing that the token
// says about keys, and knows no claims.
package jws

import (
	"errors"
	"strings"
	"unsafe"

	"github.com/auth0grpc/auth0grpc/internal/base64url"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

var (
	// ErrMalformed reports a token that is not a compact JWS: not three
	// non-empty parts of canonical base64url, or a header that is not a JSON
	// object with well-typed members.
	ErrMalformed = errors.New("jws: malformed token")
	// ErrExtension reports a header that asks for an extension which changes how the
	// token must be read: `crit` (RFC 7515, section 4.1.11, demands refusal of unknown
	// extensions) or `b64` (RFC 7797).
	ErrExtension = errors.New("jws: header extension not supported")
)

// Header holds the members of a JOSE header that decide something. It ignores `jku`,
// `x5u`, `x5c` and `x5t`: a key that a token contains or refers to proves nothing
// (CVE-2025-24976).
type Header struct {
	Algorithm string // alg, never empty
	KeyID     string // kid, or empty
	Type      string // typ, or empty
	JWK       string // jwk, unparsed JSON; only DPoP proofs use it
	HasOthers bool   // has members beside alg, kid and typ
}

// A Token is a compact JWS taken apart. Nothing in it is verified.
type Token struct {
	Header       Header
	Payload      string // decoded
	Signature    []byte // decoded
	signingInput string // the signed text: both parts as they were sent
}

// Split cuts a compact JWS into its three encoded parts without decoding them.
// It cuts at two dots and looks for a third one, so that a token of a thousand
// dots costs no more than one of three (CVE-2025-30204, CVE-2025-27144).
func Split(raw string) (header, payload, signature string, err error) {
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, _ = strings.Cut(rest, ".")
	if header == "" || payload == "" || signature == "" || strings.Contains(signature, ".") {
		return "", "", "", ErrMalformed
	}
	return header, payload, signature, nil
}

// Parse takes raw apart, cheapest part first. It returns ErrMalformed or
// ErrExtension, and no part of the token in the error.
func Parse(raw string) (*Token, error) {
	t := new(Token)
	if err := t.Parse(raw, nil); err != nil {
		return nil, err
	}
	return t, nil
}

// Parse is the function [Parse] for a zero Token, or one with a Signature whose memory may
// be overwritten. known is the header that [Headers.Find] returned for raw, or nil.
func (t *Token) Parse(raw string, known *Header) error {
	header, payload, signature, err := Split(raw)
	if err != nil {
		return err
	}
	t.signingInput = raw[:len(header)+1+len(payload)]
	if known != nil {
		t.Header = *known
	} else if t.Header, err = ParseHeader(header); err != nil {
		return err
	}
	if t.Payload, err = decodeString(payload); err != nil {
		return err
	}
	t.Signature, err = appendDecode(t.Signature[:0], signature)
	return err
}

// ParseHeader decodes the first part of a compact JWS.
func ParseHeader(encoded string) (Header, error) {
	decoded, err := decodeString(encoded)
	if err != nil {
		return Header{}, err
	}
	var h Header
	err = strictjson.Object(decoded, func(name, value string) error {
		ok := true
		switch name {
		case "alg":
			h.Algorithm, ok = strictjson.String(value)
		case "kid":
			h.KeyID, ok = strictjson.String(value)
		case "typ":
			h.Type, ok = strictjson.String(value)
			ok = ok && h.Type != "" // so that "" stands for a header without one
		case "jwk":
			h.JWK = value
			h.HasOthers = true
		case "crit", "b64":
			return ErrExtension
		default:
			h.HasOthers = true
		}
		if !ok {
			return ErrMalformed
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrExtension):
		return Header{}, ErrExtension
	case err != nil || h.Algorithm == "":
		return Header{}, ErrMalformed
	}
	return h, nil
}

// decodeString is appendDecode without a copy: no other code has the bytes.
func decodeString(part string) (string, error) {
	decoded, err := appendDecode(nil, part)
	return unsafe.String(unsafe.SliceData(decoded), len(decoded)), err
}

// appendDecode refuses each encoding but one of a value: one token must have one
// spelling.
func appendDecode(dst []byte, part string) ([]byte, error) {
	decoded, ok := base64url.AppendDecode(dst, part)
	if !ok {
		return nil, ErrMalformed
	}
	return decoded, nil
}
