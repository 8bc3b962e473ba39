package auth0grpc

import "time"

// A caller is the result of the checks of one call: its row, and the token that
// it was made with.
type caller struct {
	table    *table  // that decided; nil: of the zero Interceptor
	row      *row    // nil: not listed
	claims   *claims // nil: nothing was verified
	scheme   scheme  // how the token was presented
	cacheHit bool    // claims are from the cache
}

// checkRow returns the refusal of a verified token by the row, or nil.
func (c *caller) checkRow() *refusal {
	if c.row == nil {
		return refusedUnlisted
	}
	if c.row.rule.kind == kindPublic {
		return nil
	}
	if refused := c.checkBinding(); refused != nil {
		return refused
	}
	return c.row.check(&c.claims.Token)
}

// checkBinding refuses a token that lacks the binding that its row requires.
func (c *caller) checkBinding() *refusal {
	switch {
	case c.row == nil:
	case c.row.rule.requireDPoP && c.claims.cnf.jkt == "":
		if c.scheme == schemeBearer {
			return refusedDPoPRequired
		}
		return refusedNotKeyBound
	case c.row.rule.requireMTLS && c.claims.cnf.certThumbprint == "":
		return refusedNotCertBound
	}
	return nil
}

// A verdict is the result of a decision on a call.
type verdict struct {
	caller
	refused  *refusal // nil: allowed
	reported bool     // refused, but report-only mode lets it pass
	// candidate is the decision of the candidate table if it differs, see SetCandidate.
	candidate *CandidateDecision // nil: the same outcome, or no candidate
	facts     *Facts             // nil without Config.RecordFacts
}

// err returns the error that the call ends with, or nil if it goes on.
func (v *verdict) err() error {
	if v.refused == nil || v.reported {
		return nil
	}
	return v.refused
}

// outcome returns the result of the call.
func (v *verdict) outcome() Outcome {
	switch {
	case v.refused == nil:
		return OutcomeAllowed
	case v.reported:
		return OutcomeReported
	}
	return OutcomeRefused
}

// toDecision returns the verdict as the hook receives it.
func (v *verdict) toDecision(fullMethod string, elapsed time.Duration) Decision {
	d := Decision{FullMethod: fullMethod, CacheHit: v.cacheHit, Duration: elapsed}
	d.Facts = v.facts
	if v.candidate != nil {
		d.Candidate = *v.candidate
	}
	if v.table != nil {
		d.Policy = v.table.fingerprint
	}
	if v.row != nil {
		d.Row = v.row.pattern
	}
	d.Outcome = v.outcome()
	if v.refused != nil {
		d.Reason, d.Code = v.refused.reason, v.refused.status.Code()
		d.Rule = v.refused.rule
	}
	if c := v.claims; c != nil {
		d.Subject, d.ClientID, d.Issuer, d.OrganizationID = c.subject, c.clientID, c.issuer, c.organizationID
		d.Actor = c.Actor()
		d.KeyID = c.signingKey.ID
	}
	return d
}

// toCandidate returns the verdict of a candidate table.
func (v *verdict) toCandidate() CandidateDecision {
	d := CandidateDecision{Policy: v.table.fingerprint, Outcome: v.outcome()}
	if v.row != nil {
		d.Row = v.row.pattern
	}
	if v.refused != nil {
		d.Reason, d.Code = v.refused.reason, v.refused.status.Code()
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

// addTo sets the facts about a valid token.
func (c *caller) addTo(f *Facts) {
	t := &c.claims.Token
	f.DPoPScheme = c.scheme == schemeDPoP
	f.DPoP, f.MTLS = c.claims.cnf.jkt != "", c.claims.cnf.certThumbprint != ""
	f.Scopes, f.Permissions = t.Scopes(), t.Permissions()
	f.ClientID, f.OrganizationID = t.clientID, t.organizationID
	f.Actor, f.Delegated, f.Anonymous = t.allowedActor, t.Actor() != "", t.IsAnonymous()
}

// addMessageRules sets the results of the rules about the message, as far as the verdict
// shows them.
func (v *verdict) addMessageRules(f *Facts) {
	if v.refused != nil && v.refused.rule == "" { // before them, or without an answer
		return
	}
	for _, rule := range v.row.messages.refusals() {
		if v.refused != nil && rule.rule == v.refused.rule {
			f.UnmetRule = rule.rule
			return
		}
		f.MetRules = append(f.MetRules, rule.rule)
	}
}
