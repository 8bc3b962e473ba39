package auth0grpc

import (
	"slices"
	"strings"

	"github.com/auth0grpc/auth0grpc/internal/base64url"
	"github.com/auth0grpc/auth0grpc/internal/jws"
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

// payload returns a JSON object of the kept claims and no other.
func (o *oidcClaims) payload() []byte {
	size := len("{}")
	for i, name := range oidcClaimNames {
		size += len(name) + len(o[i]) + len(`"":,`)
	}
	payload := append(make([]byte, 0, size), '{')
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
	return append(payload, '}')
}

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
