package auth0grpc

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"
)

// maxTokenBytes bounds what is looked at: 16 KiB, twice what most HTTP servers
// take in a header. Beyond it a token is refused by its length alone.
const maxTokenBytes = 16 << 10

// A scheme is how a credential is presented.
type scheme int

const (
	schemeBearer scheme = iota // RFC 6750
	schemeDPoP                 // RFC 9449
)

// A credential is what an authorization value holds.
type credential struct {
	scheme scheme
	token  string
}

// callCredential takes the credential from the call's metadata.
func callCredential(ctx context.Context, takeDPoP bool) (credential, *refusal) {
	// ValueFromIncomingContext copies one value; FromIncomingContext copies all metadata.
	return parseCredential(metadata.ValueFromIncomingContext(ctx, "authorization"), takeDPoP)
}

// parseCredential wants exactly one authorization value: the scheme Bearer, or
// DPoP where that is taken, in any case (RFC 9110, section 11.1), one space, and
// something of bounded length.
//
// Two values are refused even when they are equal: which of them a proxy in
// front of us looked at is not ours to guess.
func parseCredential(values []string, takeDPoP bool) (credential, *refusal) {
	if len(values) == 0 {
		return credential{}, refusedMissing
	}
	if len(values) > 1 {
		return credential{}, refusedAuthorization
	}
	if token, ok := cutScheme(values[0], "Bearer "); ok {
		return credential{schemeBearer, token}, nil
	}
	if token, ok := cutScheme(values[0], "DPoP "); ok && takeDPoP {
		return credential{schemeDPoP, token}, nil
	}
	return credential{}, refusedAuthorization
}

func cutScheme(value, scheme string) (token string, ok bool) {
	if len(value) <= len(scheme) || len(value) > len(scheme)+maxTokenBytes {
		return "", false
	}
	// Nearly everybody writes it as we do, and comparing without case costs more.
	sent := value[:len(scheme)]
	if sent != scheme && !strings.EqualFold(sent, scheme) {
		return "", false
	}
	return value[len(scheme):], true
}

// isToken68 reports whether text has the characters of a bearer token (RFC 6750,
// section 2.1) and no others. It tells an authorization value that is malformed
// from one that brings a token which is no JWT.
func isToken68(text string) bool {
	text = strings.TrimRight(text, "=")
	for i := range len(text) {
		if !token68[text[i]] {
			return false
		}
	}
	return text != ""
}

// token68 is a table, because strangers may send 16 KiB to look through.
var token68 = func() (table [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/") {
		table[c] = true
	}
	return table
}()
