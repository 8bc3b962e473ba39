package auth0grpc

import (
	"context"
	"time"
)

// reportEvery is how often the log is reminded that calls pass which should not.
const reportEvery = time.Hour

// lenient are the reasons for which Config.ReportOnly lets a call pass. It is
// not those of a token that may be forged or meant for somebody else: they need
// Config.ReportOnlyInvalidTokens as well. An expired token is refused before its
// signature is looked at, so it may be forged too; it gets no further than who
// sends no token, and the handler sees neither.
var lenient = map[Reason]bool{
	ReasonMissingToken:            true,
	ReasonMalformedAuthorization:  true,
	ReasonTokenExpired:            true,
	ReasonTokenNotYetValid:        true,
	ReasonInsufficientScope:       true,
	ReasonInsufficientPermissions: true,
	ReasonWrongOrganization:       true,
	ReasonWrongClient:             true,
	ReasonMethodNotListed:         true,
	ReasonKeysUnavailable:         true,
}

// reports reports whether a refused call is to be let through and reported.
func (i *Interceptor) reports(v *verdict) bool {
	if !i.reportOnly && (v.row == nil || !v.row.rule.reportOnly) {
		return false
	}
	if v.refused.reason == "" { // the caller's context ended: there is nobody to let through
		return false
	}
	return lenient[v.refused.reason] || i.reportOnlyInvalid
}

// remind warns that report-only is on: when it begins, and every hour in which a
// call passes by it (GO-2026-4703: an insecure switch that nobody hears of stays
// on).
func (i *Interceptor) remind(ctx context.Context, now time.Time) {
	last, second := i.reminded.Load(), now.Unix()
	elapsed := second - last // negative if the clock was set back; then it is time as well
	if last != 0 && elapsed >= 0 && elapsed < int64(reportEvery/time.Second) {
		return
	}
	if !i.reminded.CompareAndSwap(last, second) { // another call does it
		return
	}
	i.logger.WarnContext(ctx, "auth0grpc: report-only: calls that should be refused are let through",
		"whole_table", i.reportOnly, "invalid_tokens", i.reportOnlyInvalid, "rows", i.table.Load().reportOnlyRows())
}
