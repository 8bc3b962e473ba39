package auth0grpc

import (
	"context"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// A ReportOnlyMode sets which refusals [Config.ReportOnly] reports instead of
// enforcing them.
type ReportOnlyMode int

const (
	// ReportOnlyOff enforces every row but those with [Rule.ReportOnly].
	ReportOnlyOff ReportOnlyMode = iota
	// ReportOnlyTable lets calls pass without a token, with an expired token, with a
	// token that does not meet the rule, on an unlisted method, or while the keys are
	// unavailable. Tokens that may be forged or issued for another API are refused.
	ReportOnlyTable
	// ReportOnlyEverything also lets calls pass whose token fails verification: wrong
	// signature, issuer, audience, type, algorithm or claims. The handler sees no
	// [*Token] for them.
	ReportOnlyEverything
)

// reportEvery is how often the log is reminded that calls pass which should not.
const reportEvery = time.Hour

// reportOnlyReasons are the reasons for which [ReportOnlyTable] lets a call pass.
// Reasons of a token that may be forged or issued for another API are missing: they
// need [ReportOnlyEverything]. An expired token is refused before its signature is
// checked, so it may be forged too. It reaches no more than a call without a token,
// and the handler sees no [*Token] for either.
var reportOnlyReasons = map[Reason]bool{
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
	if i.reportOnly == ReportOnlyOff && (v.row == nil || !v.row.rule.reportOnly) {
		return false
	}
	if v.refused.reason == "" { // the caller's context ended: there is nobody to let through
		return false
	}
	return reportOnlyReasons[v.refused.reason] || i.reportOnly == ReportOnlyEverything
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
		"whole_table", i.reportOnly != ReportOnlyOff, "invalid_tokens", i.reportOnly == ReportOnlyEverything, "rows", i.table.Load().reportOnlyRows())
}

// epoch is some moment to count from, see start.
var epoch = time.Now()

// start returns the time if the hook will want to know how long something took.
// Where the Config has no clock of its own, verifier.at takes it for its own and
// saves a reading. Where it has one, only the monotonic clock is read, as
// time.Since does, at half the cost.
func (i *Interceptor) start() time.Time {
	switch {
	case i.onDecision == nil:
		return time.Time{}
	case i.verifier.wallClock:
		return time.Now()
	}
	return epoch.Add(time.Since(epoch))
}

// tell calls the hook. It holds no lock, and a panic of the hook is not the
// call's: what watches decisions must not make them.
func (i *Interceptor) tell(ctx context.Context, d Decision) {
	defer func() {
		if p := recover(); p != nil {
			i.logger.ErrorContext(ctx, "auth0grpc: Config.OnDecision panicked", "panic", p)
		}
	}()
	i.onDecision(ctx, d)
}

// observer hands what a key set observes to the hook, if there is one.
func observer(config *Config) func(keyset.Refresh) {
	if config.OnKeyRefresh == nil {
		return nil
	}
	return func(r keyset.Refresh) {
		defer func() {
			if p := recover(); p != nil {
				config.Logger.Error("auth0grpc: Config.OnKeyRefresh panicked", "panic", p)
			}
		}()
		config.OnKeyRefresh(newKeyRefresh(r))
	}
}
