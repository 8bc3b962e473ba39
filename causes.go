package auth0grpc

// Refusals that state the cause beside the reason. Each text is fixed: it names a
// registered claim at most, and never a value. They are made once and shared.
var (
	refusedTwoAuthorizations  = newMalformedAuthorization("more than one value was sent")
	refusedEmptyAuthorization = newMalformedAuthorization("it has no token")
	refusedTokenTooLong       = newTokenRefusal(ErrInvalidToken, "invalid_request", ReasonTokenTooLong, "the access token is longer than 16 KiB")
	refusedDPoPNotAccepted    = newTokenRefusal(ErrInvalidToken, "invalid_request", ReasonDPoPNotAccepted, "the scheme DPoP is not accepted here")

	refusedNotSigned = newInvalidToken(ReasonMalformedToken, refusedMalformed.text()+": it is not a signed JWT; request it with an audience")

	refusedMissingClaim   = newClaimRefusals(errMissingClaim, " is missing or empty", requiredClaims[:]...)
	refusedClaimType      = newClaimRefusals(errClaimType, " has the wrong type", checkedClaims[:]...)
	refusedMiscasedClaim  = newClaimRefusals(errMiscasedClaim, " is spelled in another case", checkedClaims[:]...)
	refusedMalformedActor = newClaimRefusals(errClaimType, " is malformed", "act")["act"]
	refusedClientMismatch = newClaimRefusals(errClientMismatch, " and client_id differ", "azp")["azp"]

	refusedTypeHeader   = newWrongType("its typ is not JWT or at+jwt")
	refusedOwnAudience  = newWrongType("its audience is its client, as in an ID token")
	refusedForeignClaim = map[string]*refusal{
		"nonce":   newWrongType("it has the claim nonce, as an ID token"),
		"at_hash": newWrongType("it has the claim at_hash, as an ID token"),
		"c_hash":  newWrongType("it has the claim c_hash, as an ID token"),
		"events":  newWrongType("it has the claim events, as a logout token"),
		"htm":     newWrongType("it has the claim htm, as a DPoP proof"),
		"htu":     newWrongType("it has the claim htu, as a DPoP proof"),
	}
)

// requiredClaims are the claims without which no token is accepted.
var requiredClaims = [...]string{"iss", "sub", "aud", "exp", "iat"}

func newMalformedAuthorization(cause string) *refusal {
	return newTokenRefusal(ErrInvalidToken, "invalid_request", ReasonMalformedAuthorization, refusedAuthorization.text()+": "+cause)
}

func newWrongType(cause string) *refusal {
	return newInvalidToken(ReasonWrongTokenType, refusedType.text()+": "+cause)
}

// newClaimRefusals returns a refusal for each of the claims, by name.
func newClaimRefusals(cause error, problem string, names ...string) map[string]*refusal {
	refusals := make(map[string]*refusal, len(names))
	for _, name := range names {
		refusals[name] = newInvalidToken(ReasonInvalidClaims, refusedClaims.text()+": "+name+problem).withCause(cause)
	}
	return refusals
}

// text returns the text of the status without the name of the package.
func (r *refusal) text() string { return r.status.Message()[len(messagePrefix):] }
