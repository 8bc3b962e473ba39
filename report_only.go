package auth0grpc

// A ReportOnlyMode sets which refusals [Config.ReportOnly] reports instead of
// enforcing them.
type ReportOnlyMode int

const (
	// ReportOnlyOff enforces every row except rows with [Rule.ReportOnly].
	ReportOnlyOff ReportOnlyMode = iota
	// ReportOnlyTable lets calls pass whose token is missing, expired or does not meet
	// the rule. Calls on unlisted methods pass too, and calls while the keys are
	// unavailable. Tokens that may be forged or issued for another API are refused.
	ReportOnlyTable
	// ReportOnlyEverything also lets calls pass whose token fails verification: wrong
	// signature, issuer, audience, type, algorithm or claims. The handler sees no
	// [*Token] for them.
	ReportOnlyEverything
)

// reportOnlyReasons are the reasons for which [ReportOnlyTable] lets a call pass. It
// leaves out the reasons of a token that may be forged or issued for another API: they
// need [ReportOnlyEverything]. An expired token is refused before its signature is
// checked, so it may be forged too. It reaches no more than a call without a token, and
// the handler sees no [*Token] for either.
var reportOnlyReasons = map[Reason]bool{
	ReasonMissingToken:            true,
	ReasonMalformedAuthorization:  true,
	ReasonTokenTooLong:            true,
	ReasonDPoPNotAccepted:         true,
	ReasonTokenExpired:            true,
	ReasonTokenNotYetValid:        true,
	ReasonInsufficientScope:       true,
	ReasonInsufficientPermissions: true,
	ReasonWrongOrganization:       true,
	ReasonWrongClient:             true,
	ReasonActorNotAllowed:         true,
	ReasonAnonymousSubject:        true,
	ReasonNotOwner:                true,
	ReasonNoRelation:              true,
	ReasonRelationsUnavailable:    true,
	ReasonRuleMisconfigured:       true,
	ReasonMethodNotListed:         true,
	ReasonKeysUnavailable:         true,
}

// allows reports whether report-only lets a call pass that was refused for a reason. r is
// its row, or nil.
func (mode ReportOnlyMode) allows(r *row, reason Reason) bool {
	if mode == ReportOnlyOff && (r == nil || !r.rule.reportOnly) {
		return false
	}
	if reason == "" { // the caller's context ended
		return false
	}
	return reportOnlyReasons[reason] || mode == ReportOnlyEverything
}
