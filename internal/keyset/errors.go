package keyset

import (
	"errors"
	"time"
)

// ErrUnknownKey reports that the issuer, as far as is known, does not publish
// the requested key, or does not publish it for the algorithm.
var ErrUnknownKey = errors.New("keyset: unknown key")

// UnavailableError reports that the keys are unavailable, so the requested key
// could not be looked up.
type UnavailableError struct {
	// RetryAfter is the time until the next attempt can start, at least 1 s.
	RetryAfter time.Duration
	// Err is the failure of the last attempt to fetch the keys. Its text is
	// this package's own and contains no text of a transport. Of the issuer it
	// contains at most the name in its discovery document, cut and cleaned.
	// It wraps no context error: the time limit of a fetch is not the
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
