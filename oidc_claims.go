package auth0grpc

import (
	"encoding/base64"
	"slices"
)

// oidcClaimNames are the claims that go-oidc v3.21 checks or returns.
var oidcClaimNames = [...]string{"iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "_claim_names", "_claim_sources"}

// oidcClaims are the values of oidcClaimNames in one payload, byte for byte as the
// issuer sent them. An empty value is a claim that the payload does not have.
type oidcClaims [len(oidcClaimNames)]string

// keep keeps a member of the payload that go-oidc reads.
func (o *oidcClaims) keep(name, value string) {
	if i := slices.Index(oidcClaimNames[:], name); i >= 0 {
		o[i] = value
	}
}

// compact returns the form of a token that go-oidc gets, and its payload. The form has
// the header as the client sent it, a payload of the kept claims and no other, and a
// placeholder for the signature: go-oidc does not check it, and the real one does not
// cover this payload. go-jose takes several times as long for the whole token, because
// it searches it for white space character by character.
func (o *oidcClaims) compact(header string) (raw string, payload []byte) {
	size := len("{}")
	for i, name := range oidcClaimNames {
		size += len(name) + len(o[i]) + len(`"":,`)
	}
	payload = append(make([]byte, 0, size), '{')
	for i, name := range oidcClaimNames {
		if o[i] == "" {
			continue
		}
		if len(payload) > 1 {
			payload = append(payload, ',')
		}
		payload = append(payload, '"')
		payload = append(payload, name...)
		payload = append(payload, '"', ':')
		payload = append(payload, o[i]...)
	}
	payload = append(payload, '}')
	const signature = ".AA"
	text := make([]byte, 0, len(header)+1+base64.RawURLEncoding.EncodedLen(len(payload))+len(signature))
	text = append(append(text, header...), '.')
	text = append(base64.RawURLEncoding.AppendEncode(text, payload), signature...)
	return string(text), payload
}
