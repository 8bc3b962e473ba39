package auth0grpc

import (
	"time"
)

// A verdict is the result of the one decision.
type verdict struct {
	row      *row     // nil: not listed
	claims   *claims  // nil: nothing was verified
	hit      bool     // claims are from the cache
	scheme   scheme   // how the token was presented
	refused  *refusal // nil: allowed
	reported bool     // refused, and let through all the same
}

// decision words a verdict for the hook.
func (v *verdict) decision(fullMethod string, took time.Duration) Decision {
	d := Decision{FullMethod: fullMethod, Outcome: OutcomeAllowed, CacheHit: v.hit, Duration: took}
	if v.row != nil {
		d.Row = v.row.pattern
	}
	if v.refused != nil {
		d.Outcome, d.Reason, d.Code = OutcomeRefused, v.refused.reason, v.refused.status.Code()
	}
	if v.reported {
		d.Outcome = OutcomeReported
	}
	if c := v.claims; c != nil {
		d.Subject, d.ClientID, d.Issuer, d.OrganizationID = c.subject, c.clientID, c.issuer, c.organizationID
		d.KeyID = c.key.ID
	}
	return d
}

// end words the end of a stream that was opened under the verdict; a refusal is
// then why it was ended.
func (v *verdict) end(fullMethod string, open time.Duration) Decision {
	d := v.decision(fullMethod, open)
	d.Outcome = OutcomeEnded
	return d
}

// err is the error that the call ends with, or nil if it goes on.
func (v *verdict) err() error {
	if v.refused == nil || v.reported {
		return nil
	}
	return v.refused
}
