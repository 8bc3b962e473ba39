package keyset

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/printable"
)

// fetchError reports a failed attempt. Its texts are fixed in this package, except for
// issuers (see [issuerMismatch]): the texts of a transport contain addresses, and an
// issuer's texts can contain anything.
type fetchError struct {
	text       string
	retryAfter time.Duration // requested by the issuer, or 0
}

func (e *fetchError) Error() string { return e.text }

// newFetchError returns the error that document, "discovery" or "jwks", has the
// given problem.
func newFetchError(document, problem string) *fetchError {
	return &fetchError{text: "keyset: " + document + " " + problem}
}

// maxShownIssuer bounds the issuer of a discovery document in an error, in bytes.
const maxShownIssuer = 128

// issuerMismatch returns the error that discovery names another issuer than the
// expected one. It is the only error with a text of the issuer, cut and cleaned: the
// operator has to compare the two.
func issuerMismatch(named, expected string) *fetchError {
	hint := ""
	switch {
	case named == expected+"/":
		hint = "; the configured issuer lacks the slash at its end"
	case named+"/" == expected:
		hint = "; the configured issuer has a slash at its end, the document has none"
	}
	return newFetchError("discovery", "is of another issuer: it names "+strconv.Quote(printable.Cut(named, maxShownIssuer))+
		", configured is "+strconv.Quote(expected)+hint)
}

// transportError returns an error that names the class of err. It wraps
// nothing: a time limit of the fetch must not look like the caller's.
func transportError(document string, err error) error {
	switch {
	case errors.Is(err, errRedirectAway):
		return newFetchError(document, "redirects to another host")
	case errors.Is(err, errRedirects):
		return newFetchError(document, "redirects too often")
	}
	return newFetchError(document, "request failed: "+classOf(err))
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
