package keyset

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// fetchError is why an attempt failed. Its text is made of words of this
// package alone, since the ones of a transport hold addresses, and those of an
// issuer can hold anything.
type fetchError struct {
	text       string
	retryAfter time.Duration // what the issuer asked for, or 0
}

func (e *fetchError) Error() string { return e.text }

// fault returns the error that the document what has the given trouble.
func fault(what, trouble string) *fetchError {
	return &fetchError{text: "keyset: " + what + " " + trouble}
}

// transportFault returns an error that tells the class of err. It wraps
// nothing: a time limit of ours must not look like the caller's.
func transportFault(what string, err error) error {
	switch {
	case errors.Is(err, errRedirectAway):
		return fault(what, "redirects to another host")
	case errors.Is(err, errRedirects):
		return fault(what, "redirects too often")
	}
	return fault(what, "request failed: "+classOf(err))
}

func classOf(err error) string {
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		op          *net.OpError
	)
	switch {
	case isTimeout(err):
		return "timeout"
	case errors.As(err, &dns):
		return "host not found"
	case errors.As(err, &certificate):
		return "certificate not trusted"
	case errors.As(err, &record), errors.As(err, &alert):
		return "TLS handshake failed"
	case errors.As(err, &op) && op.Op == "dial": // refused, unreachable: the numbers differ by system
		return "cannot connect"
	case op != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection broken off"
	}
	return "transport error"
}

// retryAfter reads a Retry-After value, seconds or a date (RFC 9110 section
// 10.2.3), and returns 0 if there is none that makes sense.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		// Bounded before it is multiplied: the product could overflow.
		return time.Duration(min(seconds, uint64(maxCoolDown/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.Sub(now)
	}
	return 0
}
