package auth0grpc_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// An outcome is the expected end of a call.
type outcome struct {
	code      codes.Code
	reason    auth0grpc.Reason
	message   string
	challenge string // "" for none
	scope     string // in the ErrorInfo
	retry     bool   // RetryInfo is there
	kind      error  // the sentinel; nil for a call that passes
	subject   string // of a call that passes; "" for the default
	late      bool   // the call ends under its handler
}

var sentinels = []error{
	auth0grpc.ErrMissingToken, auth0grpc.ErrInvalidToken, auth0grpc.ErrInsufficientScope,
	auth0grpc.ErrUnlistedMethod, auth0grpc.ErrKeysUnavailable, auth0grpc.ErrOverloaded,
}

// check asserts that the call ended with the outcome, for the client and for an outer
// interceptor, and that the response repeats nothing of the request.
func (want outcome) check(t *testing.T, got result, sent ...string) {
	t.Helper()
	if want.kind == nil {
		want.checkPassed(t, got)
		return
	}
	if handled := got.trailer.Get("handled-for"); handled != nil {
		t.Fatalf("the handler ran, for %q", handled)
	}
	s := status.Convert(got.err)
	want = want.withCause(s)
	if s.Code() != want.code || s.Message() != "auth0grpc: "+want.message {
		t.Errorf("status = %v %q, want %v %q", s.Code(), s.Message(), want.code, "auth0grpc: "+want.message)
	}
	want.checkDetails(t, s)
	want.checkPushback(t, got)
	var challenge []string
	if want.challenge != "" {
		challenge = []string{want.challenge}
	}
	if diff := cmp.Diff(challenge, got.header.Get("www-authenticate")); diff != "" {
		t.Errorf("www-authenticate in the header (-want +got):\n%s", diff)
	}
	if got.overHTTP {
		// net/http does not send credentials and challenges as trailers (RFC 9110,
		// section 6.5.1), so clients of this transport have the header alone.
		challenge = nil
	}
	if diff := cmp.Diff(challenge, got.trailer.Get("www-authenticate")); diff != "" {
		t.Errorf("www-authenticate in the trailer (-want +got):\n%s", diff)
	}
	for _, err := range []error{got.err, got.outer} {
		if reason, _ := auth0grpc.ReasonFromError(err); reason != want.reason {
			t.Errorf("ReasonFromError(%v) = %q, want %q", err, reason, want.reason)
		}
		if early := auth0grpc.RefusedBeforeHandler(err); early == want.late {
			t.Errorf("RefusedBeforeHandler(%v) = %t, want %t", err, early, !want.late)
		}
	}
	for _, sentinel := range sentinels {
		if is := errors.Is(got.outer, sentinel); is != (sentinel == want.kind) {
			t.Errorf("errors.Is(%v, %v) = %t outside of us", got.outer, sentinel, is)
		}
	}
	checkSilence(t, got, sent)
}

// withCause returns want with the cause that got states, if it is a cause of the
// reason. The tables name the reason; TestCauses has the cause of each.
func (want outcome) withCause(got *status.Status) outcome {
	_, cause, _ := strings.Cut(got.Message(), want.message+": ")
	if slices.Contains(causes[want.message], cause) {
		return want.because(cause)
	}
	return want
}

// because returns want with a cause in its text.
func (want outcome) because(cause string) outcome {
	text := want.message + ": " + cause
	want.challenge = strings.Replace(want.challenge, want.message, text, 1)
	want.message = text
	return want
}

func (want outcome) checkPassed(t *testing.T, got result) {
	t.Helper()
	if got.err != nil || got.outer != nil {
		reason, _ := auth0grpc.ReasonFromError(got.err)
		t.Fatalf("refused with %s: %v (%v), want a call that passes", reason, got.err, got.outer)
	}
	subject := []string{auth0grpctest.Subject}
	if want.subject != "" {
		subject[0] = want.subject
	}
	if diff := cmp.Diff(subject, got.trailer.Get("handled-for")); diff != "" {
		t.Errorf("subject in the handler (-want +got):\n%s", diff)
	}
	if challenge := got.header.Get("www-authenticate"); challenge != nil {
		t.Errorf("www-authenticate = %q on a call that passed", challenge)
	}
}

// checkPushback asserts that a refusal to be retried has one pushback of gRFC A6, as a
// trailer, and no others have one.
func (want outcome) checkPushback(t *testing.T, got result) {
	t.Helper()
	const key = "grpc-retry-pushback-ms"
	values := got.trailer.Get(key)
	if want.retry {
		if ms, err := strconv.Atoi(strings.Join(values, ",")); err != nil || ms < 1000 || ms > 300_000 {
			t.Errorf("%s = %q, want one of 1000 to 300000", key, values)
		}
	} else if values != nil {
		t.Errorf("%s = %q, want none", key, values)
	}
	if header := got.header.Get(key); header != nil {
		t.Errorf("%s in the header, which switches retries off: %q", key, header)
	}
}

func (want outcome) checkDetails(t *testing.T, s *status.Status) {
	t.Helper()
	var infos, retries int
	for _, detail := range s.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			infos++
			if detail.Domain != "auth0grpc" || detail.Reason != string(want.reason) || detail.Metadata["scope"] != want.scope {
				t.Errorf("ErrorInfo = %v, want reason %s, domain auth0grpc, scope %q", detail, want.reason, want.scope)
			}
		case *errdetails.RetryInfo:
			retries++
			if delay := detail.RetryDelay.AsDuration(); delay < time.Second || delay > 5*time.Minute {
				t.Errorf("RetryInfo = %v, want 1 s to 5 min", delay)
			}
		default:
			t.Errorf("detail %T", detail)
		}
	}
	if infos != 1 || (retries == 1) != want.retry {
		t.Errorf("%d ErrorInfo and %d RetryInfo, want 1 and %t", infos, retries, want.retry)
	}
}

// checkSilence asserts that no text that leaves us holds a token or a claim
// (GO-2024-2978). Claims that a row makes up have "leak" in them.
func checkSilence(t *testing.T, got result, sent []string) {
	t.Helper()
	secrets := []string{"leak", auth0grpctest.Subject, auth0grpctest.ClientID, auth0grpctest.Audience, "https://"}
	for _, value := range sent {
		for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '.' || r == ' ' }) {
			if len(part) > 8 {
				secrets = append(secrets, part)
			}
		}
	}
	texts := map[string]string{
		"status":  status.Convert(got.err).Proto().String(),
		"error":   got.outer.Error(),
		"header":  strings.Join(got.header.Get("www-authenticate"), "\n"),
		"trailer": strings.Join(got.trailer.Get("www-authenticate"), "\n"),
	}
	for where, text := range texts {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s %q holds %q", where, text, secret)
			}
		}
	}
}

// everywhere asserts the outcome over every transport and in every shape.
func (f *fixture) everywhere(t *testing.T, want outcome, authorization ...string) {
	t.Helper()
	for transport := range f.conns {
		for _, m := range shapes {
			t.Run(transport+m.name, func(t *testing.T) {
				want.check(t, f.call(t.Context(), transport, m, authorization...), authorization...)
			})
		}
	}
}

// The outcomes of the table in doc.go. Texts are fixed: clients may show them,
// and nothing of the call may get into them.
var (
	passes = outcome{}

	missing = outcome{
		code: codes.Unauthenticated, reason: "MISSING_TOKEN", kind: auth0grpc.ErrMissingToken,
		message: "no access token was sent", challenge: "Bearer",
	}
	badAuthorization = outcome{
		code: codes.Unauthenticated, reason: "MALFORMED_AUTHORIZATION", kind: auth0grpc.ErrInvalidToken,
		message:   "the authorization value is malformed",
		challenge: `Bearer error="invalid_request", error_description="the authorization value is malformed"`,
	}
	tokenTooLong    = badRequest("TOKEN_TOO_LONG", "the access token is longer than 16 KiB")
	dpopNotAccepted = badRequest("DPOP_NOT_ACCEPTED", "the scheme DPoP is not accepted here")

	unlisted = outcome{
		code: codes.PermissionDenied, reason: "METHOD_NOT_LISTED", kind: auth0grpc.ErrUnlistedMethod,
		message: "the method is not listed",
	}
	unavailable = outcome{
		code: codes.Unavailable, reason: "KEYS_UNAVAILABLE", kind: auth0grpc.ErrKeysUnavailable,
		message: "the signing keys of the issuer are unavailable", retry: true,
	}
	overloaded = outcome{
		code: codes.Unavailable, reason: "OVERLOADED", kind: auth0grpc.ErrOverloaded,
		message: "too many signature checks at once", retry: true,
	}

	malformed         = invalid("MALFORMED_TOKEN", "the access token is malformed")
	wrongAlgorithm    = invalid("UNSUPPORTED_ALGORITHM", "the access token is signed with an algorithm that is not accepted")
	wrongType         = invalid("WRONG_TOKEN_TYPE", "the token is not an access token")
	badClaims         = invalid("INVALID_CLAIMS", "the access token lacks a required claim or has an invalid one")
	wrongIssuer       = invalid("WRONG_ISSUER", "the access token is from an issuer that is not accepted")
	wrongAudience     = invalid("WRONG_AUDIENCE", "the access token is meant for another audience")
	expired           = invalid("TOKEN_EXPIRED", "the access token has expired")
	notYet            = invalid("TOKEN_NOT_YET_VALID", "the access token is not valid yet")
	boundOtherwise    = invalid("BOUND_TOKEN", "the access token is bound to its sender in a way that is not supported")
	bound             = invalid("BOUND_TOKEN", "the access token is sender-constrained, which is not accepted here")
	unknownKey        = invalid("UNKNOWN_KEY", "the access token is signed with an unknown key")
	noKeyID           = invalid("UNKNOWN_KEY", "the access token does not name its key: its header has no kid")
	badSignature      = invalid("BAD_SIGNATURE", "the signature of the access token is wrong")
	brokenOff         = invalid("VERIFICATION_FAILED", "the access token could not be verified")
	scopeText         = "the access token lacks a scope that the method needs"
	permissionText    = "the access token lacks a permission that the method needs"
	organizationText  = "the access token is of an organization that the method is not open to"
	clientText        = "the access token is of a client that the method is not open to"
	lacksReadOrders   = lacks("INSUFFICIENT_SCOPE", scopeText, "read:orders")
	lacksNoNamedScope = lacks("INSUFFICIENT_PERMISSIONS", permissionText, "")
)

// invalid is the outcome of a token at fault.
func invalid(reason auth0grpc.Reason, text string) outcome {
	return outcome{
		code: codes.Unauthenticated, reason: reason, kind: auth0grpc.ErrInvalidToken, message: text,
		challenge: `Bearer error="invalid_token", error_description="` + text + `"`,
	}
}

// badRequest is the outcome of an authorization value at fault.
func badRequest(reason auth0grpc.Reason, text string) outcome {
	want := invalid(reason, text)
	want.challenge = `Bearer error="invalid_request", error_description="` + text + `"`
	return want
}

// lacks is the outcome of a token that does not meet a rule that names scope.
func lacks(reason auth0grpc.Reason, text, scope string) outcome {
	want := outcome{
		code: codes.PermissionDenied, reason: reason, kind: auth0grpc.ErrInsufficientScope, message: text,
		challenge: `Bearer error="insufficient_scope"`, scope: scope,
	}
	if scope != "" {
		want.challenge += `, scope="` + scope + `"`
	}
	return want
}
