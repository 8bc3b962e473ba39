package auth0grpc

import (
	"strings"

	"github.com/auth0grpc/auth0grpc/internal/base64url"
	"github.com/auth0grpc/auth0grpc/internal/jws"
)

// oidcClaims are the claims of a token that go-oidc v3.21 checks or returns: a JSON object
// with their values as the issuer sent them, byte for byte, without the brace at its end.
type oidcClaims []byte

// keep adds a member of the payload if go-oidc reads it.
func (o *oidcClaims) keep(name, value string) {
	switch name {
	case "iss", "sub", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "_claim_names", "_claim_sources":
	default:
		return
	}
	if len(*o) == 0 {
		*o = append(*o, '{')
	} else {
		*o = append(*o, ',')
	}
	*o = append(append(append(*o, '"'), name...), `":`...)
	*o = append(*o, value...)
}

// payload returns the JSON object. There must be a claim in it.
func (o oidcClaims) payload() []byte { return append(o, '}') }

// compactForm returns the form of a token that go-oidc gets. The payload is empty,
// because go-oidc takes the claims from its key set (see [preverifiedKeySet]). The
// signature is a placeholder, which go-oidc does not check. The whole token would cost
// go-jose a multiple of the time: it checks each character for white space, and decodes
// each member of the header twice.
//
// The header has alg alone if the token's header has no members beside alg, kid and
// typ. Otherwise it is the header as the client sent it: go-jose refuses some other
// members.
func compactForm(raw string, header *jws.Header) string {
	if form := ordinaryForms[header.Algorithm]; form != "" && !header.HasOthers {
		return form
	}
	encoded, _, _ := strings.Cut(raw, ".")
	return encoded + compactRest
}

// compactRest is the compact form behind the header.
const compactRest = "..AA"

// ordinaryForms are the compact forms of tokens with an ordinary header, by algorithm.
var ordinaryForms = func() map[string]string {
	forms := make(map[string]string)
	for _, alg := range jws.Algorithms() {
		forms[alg] = base64url.Encode([]byte(`{"alg":"`+alg+`"}`)) + compactRest
	}
	return forms
}()
