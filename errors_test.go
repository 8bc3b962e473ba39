package auth0grpc

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestReasonFromError(t *testing.T) {
	foreign := mustDetail(status.New(codes.Unauthenticated, "x"), &errdetails.ErrorInfo{Reason: "MISSING_TOKEN", Domain: "googleapis.com"})
	both := mustDetail(foreign, errorInfo(ReasonWrongClient))
	retry := mustDetail(status.New(codes.Unavailable, "x"), &errdetails.RetryInfo{})
	for name, test := range map[string]struct {
		err  error
		want Reason
	}{
		"nil":                      {nil, ""},
		"no status":                {errors.New("x"), ""},
		"status without details":   {status.Error(codes.Unauthenticated, "x"), ""},
		"status with other detail": {retry.Err(), ""},
		"another domain":           {foreign.Err(), ""},
		"another domain and ours":  {both.Err(), ReasonWrongClient},
		"refusal":                  {refusedExpired, ReasonTokenExpired},
		"refusal with a cause":     {refusedMalformed.withCause(errors.New("x")), ReasonMalformedToken},
		"wrapped refusal":          {fmt.Errorf("orders: %w", refusedExpired), ReasonTokenExpired},
		"over the wire":            {refusedExpired.GRPCStatus().Err(), ReasonTokenExpired},
		"context":                  {contextRefusal(context.Canceled), ""},
	} {
		if got, ok := ReasonFromError(test.err); got != test.want || ok != (test.want != "") {
			t.Errorf("%s: ReasonFromError = %q, %t, want %q", name, got, ok, test.want)
		}
	}
}

// ScopesFromError reads our own ErrorInfo, in any place among the details.
func TestScopesOfDetails(t *testing.T) {
	foreign := &errdetails.ErrorInfo{Reason: "INSUFFICIENT_SCOPE", Domain: "googleapis.com", Metadata: map[string]string{"scope": "leak"}}
	own := &errdetails.ErrorInfo{Reason: "INSUFFICIENT_SCOPE", Domain: ErrorDomain, Metadata: map[string]string{"scope": "b a"}}
	denied := status.New(codes.PermissionDenied, "x")
	for name, test := range map[string]struct {
		err  error
		want []string
	}{
		"nil":                {nil, nil},
		"no status":          {errors.New("x"), nil},
		"no details":         {denied.Err(), nil},
		"own":                {mustDetail(denied, own).Err(), []string{"b", "a"}},
		"wrapped":            {fmt.Errorf("orders: %w", mustDetail(denied, own).Err()), []string{"b", "a"}},
		"foreign":            {mustDetail(denied, foreign).Err(), nil},
		"foreign before own": {mustDetail(mustDetail(denied, foreign), own).Err(), []string{"b", "a"}},
		"own before foreign": {mustDetail(mustDetail(denied, own), foreign).Err(), []string{"b", "a"}},
		"behind a RetryInfo": {mustDetail(mustDetail(denied, &errdetails.RetryInfo{}), own).Err(), []string{"b", "a"}},
	} {
		if diff := cmp.Diff(test.want, ScopesFromError(test.err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The common properties of refusals: their texts are fixed, name the package and fit
// into a quoted-string of a challenge (RFC 6750, section 3).
func TestRefusals(t *testing.T) {
	description := regexp.MustCompile(`^Bearer( error="(invalid_request|invalid_token)", error_description="[ !#-\[\]-~]+")?$`)
	reasons := map[Reason]bool{}
	for _, r := range []*refusal{
		refusedMissingToken, refusedAuthorization, refusedMalformed, refusedAlgorithm, refusedType, refusedClaims, refusedIssuer,
		refusedAudience, refusedExpired, refusedNotYetValid, refusedBindingUnsupported, refusedUnknownKey, refusedSignature, refusedRevoked, refusedVerificationFailed,
		refusedUnlisted, refusedKeysUnavailable,
	} {
		if reasons[r.reason] {
			t.Errorf("%s is the reason of two refusals", r.reason)
		}
		reasons[r.reason] = true
		if r.Error() != r.status.Message() || !regexp.MustCompile(`^auth0grpc: [a-z, -]+$`).MatchString(r.Error()) {
			t.Errorf("Error = %q", r.Error())
		}
		if !errors.Is(r, r.sentinel) || errors.Is(r, context.Canceled) {
			t.Errorf("%s wraps the wrong kind", r.reason)
		}
		unauthenticated := r.status.Code() == codes.Unauthenticated
		challenge := r.challenge.Get("www-authenticate")
		if unauthenticated != (len(challenge) == 1) || unauthenticated && !description.MatchString(challenge[0]) {
			t.Errorf("%s: %v with challenge %q", r.reason, r.status.Code(), challenge)
		}
		cause := errors.New("why")
		with := r.withCause(cause)
		if !errors.Is(with, cause) || !errors.Is(with, r.sentinel) || r.cause != nil || with.Error() != r.Error()+": why" {
			t.Errorf("because = %v, and the shared refusal %v", with, r)
		}
		if with.GRPCStatus().Message() != r.status.Message() {
			t.Errorf("the cause is in the status: %v", with.GRPCStatus())
		}
	}
}

func TestRetryInfo(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		0: time.Second, -time.Minute: time.Second, 30 * time.Second: 30 * time.Second,
	} {
		r := newKeysUnavailable(after, errors.New("why"))
		var got time.Duration
		for _, detail := range r.GRPCStatus().Details() {
			if info, ok := detail.(*errdetails.RetryInfo); ok {
				got = info.RetryDelay.AsDuration()
			}
		}
		if got != want || !errors.Is(r, ErrKeysUnavailable) {
			t.Errorf("keysUnavailable(%v): RetryInfo %v, want %v", after, got, want)
		}
	}
	if n := len(refusedKeysUnavailable.status.Details()); n != 1 {
		t.Errorf("the shared refusal has %d details", n)
	}
}

func TestWithoutKey(t *testing.T) {
	unforeseen := errors.New("unforeseen")
	for _, test := range []struct {
		err  error
		want codes.Code
	}{
		{context.Canceled, codes.Canceled},
		{fmt.Errorf("waiting: %w", context.DeadlineExceeded), codes.DeadlineExceeded},
		{unforeseen, codes.Unauthenticated}, // fail closed
	} {
		r := keyRefusal(test.err)
		if r.GRPCStatus().Code() != test.want {
			t.Errorf("withoutKey(%v) = %v, want %v", test.err, r, test.want)
		}
	}
}

// A code that no message can be attached to is a mistake of ours, not a refusal.
func TestMustDetailPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	mustDetail(status.New(codes.OK, ""), errorInfo(ReasonMissingToken))
}
