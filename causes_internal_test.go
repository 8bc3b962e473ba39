package auth0grpc

import (
	"maps"
	"regexp"
	"slices"
	"testing"
)

// The refusals with a cause keep to the rules of TestRefusals, and cost no allocation.
func TestCausesAreFixed(t *testing.T) {
	description := regexp.MustCompile(`^Bearer error="(invalid_request|invalid_token)", error_description="[ !#-\[\]-~]{1,120}"$`)
	all := []*refusal{
		refusedTwoAuthorizations, refusedEmptyAuthorization, refusedTokenTooLong, refusedDPoPNotAccepted, refusedNotSigned,
		refusedClientMismatch, refusedTypeHeader, refusedOwnAudience,
	}
	for _, byClaim := range []map[string]*refusal{refusedMissingClaim, refusedClaimType, refusedMiscasedClaim, refusedForeignClaim} {
		all = slices.AppendSeq(all, maps.Values(byClaim))
	}
	for _, r := range all {
		challenge := r.challenge.Get("www-authenticate")
		if len(challenge) != 1 || !description.MatchString(challenge[0]) {
			t.Errorf("%s: challenge %q", r.status.Message(), challenge)
		}
	}
	for _, value := range []string{"", "Bearer", "DPoP a", "Basic a"} {
		values := []string{value}
		if n := testing.AllocsPerRun(10, func() { _, _ = parseCredential(values, false) }); n != 0 {
			t.Errorf("the refusal of %q costs %v allocations", value, n)
		}
	}
}
