package auth0grpc

import "time"

// A caller is the result of the checks of one call: its row, and the token that
// it was made with.
type caller struct {
	row      *row    // nil: not listed
	claims   *claims // nil: nothing was verified
	scheme   scheme  // how the token was presented
	cacheHit bool    // claims are from the cache
}

// A verdict is the result of a decision on a call.
type verdict struct {
	caller
	refused  *refusal // nil: allowed
	reported bool     // refused, but report-only mode lets it pass
}

// err returns the error that the call ends with, or nil if it goes on.
func (v *verdict) err() error {
	if v.refused == nil || v.reported {
		return nil
	}
	return v.refused
}

// toDecision returns the verdict as the hook receives it.
func (v *verdict) toDecision(fullMethod string, elapsed time.Duration) Decision {
	d := Decision{FullMethod: fullMethod, Outcome: OutcomeAllowed, CacheHit: v.cacheHit, Duration: elapsed}
	if v.row != nil {
		d.Row = v.row.pattern
	}
	if v.refused != nil {
		d.Outcome, d.Reason, d.Code = OutcomeRefused, v.refused.reason, v.refused.status.Code()
		d.Rule = v.refused.rule
	}
	if v.reported {
		d.Outcome = OutcomeReported
	}
	if c := v.claims; c != nil {
		d.Subject, d.ClientID, d.Issuer, d.OrganizationID = c.subject, c.clientID, c.issuer, c.organizationID
		d.Actor = c.Actor()
		d.KeyID = c.signingKey.ID
	}
	return d
}

// endDecision returns the end of a stream as the hook receives it. reason is nil
// if the handler returned first.
func (c *caller) endDecision(fullMethod string, reason *refusal, openFor time.Duration) Decision {
	v := verdict{caller: *c, refused: reason}
	d := v.toDecision(fullMethod, openFor)
	d.Outcome = OutcomeEnded
	return d
}
