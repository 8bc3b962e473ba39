package auth0grpc

import "strings"

// maxTokenBytes bounds the size of a token that is parsed: 16 KiB, twice the header
// limit of most HTTP servers. A longer token is refused by its length alone.
const maxTokenBytes = 16 << 10

// A scheme is the way in which a credential is presented.
type scheme uint8

const (
	schemeBearer scheme = iota // RFC 6750
	schemeDPoP                 // RFC 9449
)

// A credential is the parsed authorization value.
type credential struct {
	scheme scheme
	token  string
}

// parseCredential requires exactly one authorization value: the scheme Bearer, or DPoP
// if that is accepted, in any case (RFC 9110, section 11.1), one space, and a token of
// bounded length.
//
// It refuses two values even if they are equal: this package cannot know which of them
// a proxy in front of it checked.
func parseCredential(values []string, acceptDPoP bool) (credential, *refusal) {
	if len(values) == 0 {
		return credential{}, refusedMissingToken
	}
	if len(values) > 1 {
		return credential{}, refusedTwoAuthorizations
	}
	if token, ok := cutScheme(values[0], "Bearer "); ok {
		return credential{schemeBearer, token}, nil
	}
	token, ok := cutScheme(values[0], "DPoP ")
	if ok && acceptDPoP {
		return credential{schemeDPoP, token}, nil
	}
	if ok {
		return credential{}, refusedDPoPNotAccepted
	}
	return credential{}, credentialRefusal(values[0])
}

// credentialRefusal returns the refusal of a value without an acceptable scheme and
// token.
func credentialRefusal(value string) *refusal {
	scheme, token, _ := strings.Cut(value, " ")
	switch {
	case scheme != "" && !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP"):
		return refusedAuthorization
	case token == "":
		return refusedEmptyAuthorization
	case len(token) > maxTokenBytes:
		return refusedTokenTooLong
	}
	return refusedAuthorization
}

func cutScheme(value, scheme string) (token string, ok bool) {
	if len(value) <= len(scheme) || len(value) > len(scheme)+maxTokenBytes {
		return "", false
	}
	// Most clients use this spelling, and a comparison without case costs more.
	prefix := value[:len(scheme)]
	if prefix != scheme && !strings.EqualFold(prefix, scheme) {
		return "", false
	}
	return value[len(scheme):], true
}

// isToken68 reports whether text has only the characters of a bearer token (RFC 6750,
// section 2.1). It distinguishes a malformed authorization value from a value with a
// token that is not a JWT.
func isToken68(text string) bool {
	text = strings.TrimRight(text, "=")
	for i := range len(text) {
		if !token68[text[i]] {
			return false
		}
	}
	return text != ""
}

// token68 is a table, because strangers may send 16 KiB to scan.
var token68 = func() (table [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/") {
		table[c] = true
	}
	return table
}()
