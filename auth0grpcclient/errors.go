package auth0grpcclient

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/auth0grpc/auth0grpc/internal/retryafter"
)

// A TokenError describes why a call has no token. The call ends with it (errors.As),
// and with its status:
//
//   - Unavailable if the token endpoint was unreachable, answered 408, 429 or
//     5xx, or sent an unusable response: retry after the RetryInfo.
//   - Unauthenticated if it refused: the client's credentials, its grant for the
//     audience, or a requested binding that the token lacks. A retry does not
//     help.
//   - Internal if it refused an exchange of [NewOnBehalfOf]: the service that
//     exchanges is the cause, and not the user. For the user, Unauthenticated
//     would mean to log in again.
//
// Its texts contain no secret and no token. The status contains no part of the response
// except its error code: it may travel to the client of a gateway.
type TokenError struct {
	// HTTPStatus is the status of the last answer; 0 if there was none.
	HTTPStatus int
	// Code is the OAuth error code of the last response, such as invalid_client. It may
	// be empty. Auth0 answers access_denied for a wrong secret, an unknown audience and
	// a missing client grant; Description distinguishes them.
	Code string
	// Description is the error_description of the last answer, at most 300 bytes, in
	// printable characters. It is for people, and empty if it repeats a secret or a
	// token of the request. Error has it, the status does not.
	Description string

	text       string
	permanent  bool          // trying again does not help
	retryable  bool          // a retry may succeed immediately
	onBehalfOf bool          // it is the failure of an exchange
	retryAfter time.Duration // the shortest time until the next request
	cause      error         // of the transport, never of the answer
}

// Error describes the failure, with the description of the response, or the transport's
// error if there was no response.
func (e *TokenError) Error() string {
	text := e.message()
	if e.Description != "" {
		text += ": " + e.Description
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the transport's error, nil if there was an answer.
func (e *TokenError) Unwrap() error { return e.cause }

// GRPCStatus returns the status that the call ends with. Its message contains neither
// the transport's error nor the description: a handler that returns it reveals nothing
// about this network or tenant.
func (e *TokenError) GRPCStatus() *status.Status {
	if e.permanent && e.onBehalfOf {
		return status.New(codes.Internal, e.message())
	}
	if e.permanent {
		return status.New(codes.Unauthenticated, e.message())
	}
	s := status.New(codes.Unavailable, e.message())
	delay := durationpb.New(max(e.retryAfter, time.Second))
	if withDelay, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: delay}); err == nil {
		return withDelay
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

// unreachable makes a TokenError of the HTTP client's error, without the URL.
func unreachable(err error) *TokenError {
	var transport *url.Error
	if errors.As(err, &transport) {
		err = transport.Err
	}
	return &TokenError{text: "the token endpoint cannot be reached", cause: err, retryable: true}
}

// refusedResponse makes a TokenError of an answer that is an error. params are the
// parameters of the request, now is the time at which it was sent.
func refusedResponse(response *http.Response, content *tokenResponse, params url.Values, now time.Time) *TokenError {
	e := &TokenError{
		HTTPStatus:  response.StatusCode,
		Code:        safeCode(content.Error),
		Description: safeDescription(content.Description, params),
		text:        "the token endpoint has failed",
		retryable:   true,
		retryAfter:  retryafter.Wait(response, now),
	}
	switch {
	case e.HTTPStatus == http.StatusTooManyRequests:
		e.text = "the token endpoint limits the rate"
	case e.HTTPStatus < http.StatusInternalServerError && e.HTTPStatus != http.StatusRequestTimeout:
		e.text, e.permanent, e.retryable = "the token endpoint refused", true, false
	}
	return e
}

// safeCode returns an OAuth error code, or "" for any other text.
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

// maxDescription bounds an error_description, in bytes.
const maxDescription = 300

// safeDescription returns an error_description for people: printable characters
// with single spaces, of bounded length. It returns "" if the text has a secret or
// a token of the request in it, or anything that looks like a JWT.
func safeDescription(text string, params url.Values) string {
	for _, name := range []string{"client_secret", "client_assertion", "subject_token"} {
		if secret := params.Get(name); secret != "" && strings.Contains(text, secret) {
			return ""
		}
	}
	if strings.Contains(text, "eyJ") { // `{"` in base64url, as JWTs begin
		return ""
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text[:min(len(text), 4*maxDescription)])
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "")), " ")
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription-3], "") + "..."
	}
	return text
}
