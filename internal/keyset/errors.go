package keyset

import (
	"errors"
	"time"
)

// ErrUnknownKey means that the issuer does not publish the key asked for, or
// does not publish it for that use, as far as is known.
var ErrUnknownKey = errors.New("keyset: unknown key")

// UnavailableError means that the keys cannot be had, so that nothing can be
// said about the one asked for.
type UnavailableError struct {
	// RetryAfter is when asking again can have another outcome; at least 1 s.
	RetryAfter time.Duration
	// Err is why the last attempt to fetch the keys failed. Its text is of
	// this package's making, and holds nothing that the issuer or a transport
	// said. It wraps no context error: the fetch's time limit is not the
	// caller's.
	Err error
}

// Error returns the text of e.Err, which is safe to log.
func (e *UnavailableError) Error() string {
	if e.Err == nil {
		return "keyset: keys unavailable"
	}
	return e.Err.Error()
}

// Unwrap returns e.Err.
func (e *UnavailableError) Unwrap() error { return e.Err }
