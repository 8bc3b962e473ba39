package auth0grpc

import (
	"time"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// KeyRefresh reports one attempt to fetch the keys of an issuer, see
// [Config.OnKeyRefresh].
type KeyRefresh struct {
	Issuer string
	At     time.Time // when the attempt ended
	Keys   int       // usable keys after it; a failure leaves the keys that were there
	// Unused lists the published keys that are not used, at most 32 of them.
	// Omitted counts the rest. Tokens that such a key signed are refused with
	// ReasonUnknownKey, unless another key has the same kid.
	Unused  []UnusedKey
	Omitted int
	Err     error // nil if it succeeded; its text is safe to log
}

// UnusedKey names a published key that the server does not use, and why. Both
// texts are safe to log.
type UnusedKey struct {
	// KeyID is the key's kid, or "" if it has none. It is cut after 64 bytes,
	// and "?" replaces every byte other than printable ASCII.
	KeyID string
	// Reason is a fixed text, for example "keyset: key has no kid".
	Reason string
}

// newKeyRefresh returns the public form of r.
func newKeyRefresh(r keyset.Refresh) KeyRefresh {
	refresh := KeyRefresh{Issuer: r.Issuer, At: r.At, Keys: r.Keys, Omitted: r.Omitted, Err: r.Err}
	for _, unused := range r.Unused {
		refresh.Unused = append(refresh.Unused, UnusedKey(unused))
	}
	return refresh
}
