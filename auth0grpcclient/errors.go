package auth0grpcclient

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/oauth2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// A TokenError is why there is no token. A call that fails for want of one ends
// with it (errors.As), and with its status:
//
//   - Unavailable where the token endpoint could not be reached, answered 429 or
//     5xx, or answered something unusable: try again, after the RetryInfo.
//   - Unauthenticated where it refused: the client's credentials, its grant for
//     the audience, the subject token, or a binding that was asked for and not
//     given. Trying again does not help.
//
// Its texts hold no secret and no token, and nothing of the answer's body but
// its error code.
type TokenError struct {
	HTTPStatus int    // of the last answer; 0 if there was none
	Code       string // the OAuth error code of the last answer, such as invalid_client; may be ""

	text  string
	final bool          // trying again does not help
	after time.Duration // how long not to try again; at least
	cause error         // of the transport, never of the answer
}

// Error says what happened, with the transport's error if there was no answer.
func (e *TokenError) Error() string {
	if e.cause == nil {
		return e.message()
	}
	return e.message() + ": " + e.cause.Error()
}

// Unwrap returns the transport's error, nil if there was an answer.
func (e *TokenError) Unwrap() error { return e.cause }

// GRPCStatus is what the call ends with. Its message is without the transport's
// error: a handler that returns it upstream tells nothing of this network.
func (e *TokenError) GRPCStatus() *status.Status {
	if e.final {
		return status.New(codes.Unauthenticated, e.message())
	}
	s := status.New(codes.Unavailable, e.message())
	delay := durationpb.New(max(e.after, time.Second))
	if with, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: delay}); err == nil {
		return with
	}
	return s
}

func (e *TokenError) message() string {
	text := "auth0grpcclient: " + e.text
	if e.HTTPStatus != 0 {
		text += " (HTTP status " + strconv.Itoa(e.HTTPStatus)
		if e.Code != "" {
			text += ", " + e.Code
		}
		text += ")"
	}
	return text
}

// maxRetryAfter is as long as a token endpoint is taken at its word.
const maxRetryAfter = 5 * time.Minute

// tokenError makes a TokenError of what golang.org/x/oauth2 returned. The
// RetrieveError itself is left behind: its text quotes the body.
func tokenError(err error, now time.Time) *TokenError {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		var transport *url.Error
		if errors.As(err, &transport) {
			return &TokenError{text: "the token endpoint cannot be reached", cause: transport.Err}
		}
		return &TokenError{text: "the answer of the token endpoint cannot be used"}
	}
	e := &TokenError{
		HTTPStatus: answer.Response.StatusCode,
		Code:       safeCode(answer.ErrorCode),
		text:       "the token endpoint has failed",
		after:      retryAfter(answer.Response.Header.Get("Retry-After"), now),
	}
	switch {
	case e.HTTPStatus == http.StatusTooManyRequests:
		e.text = "the token endpoint limits the rate"
	case e.HTTPStatus < http.StatusInternalServerError:
		e.text, e.final = "the token endpoint refused", true
	}
	return e
}

// safeCode returns an OAuth error code, or "" for a text that is none.
func safeCode(code string) string {
	if len(code) > 64 {
		return ""
	}
	for _, c := range code {
		if (c < 'a' || c > 'z') && c != '_' {
			return ""
		}
	}
	return code
}

// retryAfter reads both forms of RFC 9110, section 10.2.3; 0 for neither.
func retryAfter(value string, now time.Time) time.Duration {
	var after time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		after = at.Sub(now)
	}
	return min(max(after, 0), maxRetryAfter)
}
