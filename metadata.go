package auth0grpc

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"
)

// maxTokenBytes bounds what is looked at: 16 KiB, twice what most HTTP servers
// take in a header. Beyond it a token is refused by its length alone.
const maxTokenBytes = 16 << 10

// bearerToken takes the access token from the call's metadata: exactly one
// authorization value, the scheme Bearer in any case (RFC 9110, section 11.1),
// one space, and something of bounded length.
//
// Two values are refused even when they are equal: which of them a proxy in
// front of us looked at is not ours to guess.
func bearerToken(ctx context.Context) (string, *refusal) {
	// ValueFromIncomingContext copies one value; FromIncomingContext copies all metadata.
	return bearerTokenOf(metadata.ValueFromIncomingContext(ctx, "authorization"))
}

func bearerTokenOf(values []string) (string, *refusal) {
	if len(values) == 0 {
		return "", refusedMissing
	}
	if len(values) > 1 {
		return "", refusedAuthorization
	}
	const scheme = "Bearer "
	value := values[0]
	if len(value) <= len(scheme) || len(value) > len(scheme)+maxTokenBytes || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", refusedAuthorization
	}
	return value[len(scheme):], nil
}

// isToken68 reports whether text has the characters of a bearer token (RFC 6750,
// section 2.1) and no others. It tells an authorization value that is malformed
// from one that brings a token which is no JWT.
func isToken68(text string) bool {
	text = strings.TrimRight(text, "=")
	for i := range len(text) {
		c := text[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return text != ""
}
