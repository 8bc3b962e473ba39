package auth0grpc

import (
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/internal/configerror"
)

// SetCandidate evaluates a second table on each call, beside the table in force. The
// candidate never decides. [Decision.Candidate] reports the calls whose outcome it
// would change. A nil table removes the candidate. SetCandidate returns the faults that
// [Interceptor.SetMethods] would return, and the previous candidate then stays. It is an
// error without [Config.OnDecision], because nothing would report the differences.
//
// A call that the table in force allows without looking at its token costs as much as
// under the candidate: the token is verified for the report. The candidate evaluates rules
// about the message of a unary call, and asks [Config.RelationChecker] for it. On a stream
// it decides on the opening alone, before any message.
func (i *Interceptor) SetCandidate(methods map[string]Rule) error {
	if i.verifier == nil {
		return errZeroInterceptor
	}
	if methods == nil {
		i.candidate.Store(nil)
		return nil
	}
	if i.observer.onDecision == nil {
		return errors.New("auth0grpc: SetCandidate: Config.OnDecision is not set, so nothing would report the differences")
	}
	candidate, faults := newTable(methods)
	faults = append(faults, candidate.bindingFaults(i.binder.modes())...)
	faults = append(faults, candidate.relationFaults(i.verifier.ask != nil)...)
	if len(faults) > 0 {
		return configerror.Join(faults)
	}
	i.candidate.Store(candidate)
	return nil
}

// A Candidate decides on calls of the past by their [Facts], with the rules of a table and
// the code of an [Interceptor]. It is immutable and safe for concurrent use.
type Candidate struct{ table *table }

// NewCandidate returns a Candidate. It returns the faults in the table that [New] would
// return. A row may require a binding or a relation in any case.
func NewCandidate(methods map[string]Rule) (*Candidate, error) {
	candidate, faults := newTable(methods)
	if len(faults) > 0 {
		return nil, configerror.Join(faults)
	}
	return &Candidate{candidate}, nil
}

// Policy returns the fingerprint of the table, as in [Stats].
func (c *Candidate) Policy() string {
	if c.table == nil {
		return ""
	}
	return c.table.fingerprint
}

var (
	errNoFacts         = errors.New("auth0grpc: the facts of the call are not known")
	errIncompleteFacts = errors.New("auth0grpc: the log left out facts")
	errUnknownMessage  = errors.New("auth0grpc: the row has a rule about the message that was not evaluated for the call")
	errZeroCandidate   = errors.New("auth0grpc: a Candidate is made by NewCandidate")
)

// Decide returns the decision on a call with the facts. It is the decision that
// [Interceptor.SetCandidate] would have reported at the time of the call. Time has no
// effect: an expired token stays expired, and keys that were unavailable stay so.
//
// It returns an error if the facts do not suffice: they are nil or incomplete, or the row
// has a [Rule.Same] or [Rule.Relation] that was not evaluated for the call. It says nothing
// about the time that a stream stays open.
func (c *Candidate) Decide(fullMethod string, f *Facts) (CandidateDecision, error) {
	switch {
	case c.table == nil:
		return CandidateDecision{}, errZeroCandidate
	case f == nil, !f.Verified && f.Code == codes.OK:
		return CandidateDecision{}, errNoFacts
	case f.Incomplete:
		return CandidateDecision{}, errIncompleteFacts
	}
	candidateCaller := callerOf(c.table, fullMethod, f)
	refused, known := candidateCaller.checkFacts(f)
	if !known {
		return CandidateDecision{}, errUnknownMessage
	}
	v := judgeBy(f.ReportOnly, candidateCaller, refused)
	return v.toCandidate(), nil
}

// callerOf returns the caller of a call with the facts. It has claims if the token is
// valid.
func callerOf(methods *table, fullMethod string, f *Facts) caller {
	c := caller{table: methods, row: methods.lookup(fullMethod)}
	if !f.Verified {
		return c
	}
	if f.DPoPScheme {
		c.scheme = schemeDPoP
	}
	c.claims = &claims{cnf: &confirmation{}, Token: Token{
		scopes: f.Scopes, permissions: f.Permissions, clientID: f.ClientID, organizationID: f.OrganizationID, allowedActor: f.Actor,
	}}
	if f.DPoP {
		c.claims.cnf.jkt = "bound"
	}
	if f.MTLS {
		c.claims.cnf.certThumbprint = "bound"
	}
	if f.Delegated {
		c.claims.actors = []string{"actor"}
	}
	if f.Anonymous {
		c.claims.subject = anonymousPrefix
	}
	return c
}

// checkFacts returns the refusal of a call with the facts, or nil. known is false if it
// depends on a rule about the message that was not evaluated.
func (c *caller) checkFacts(f *Facts) (refused *refusal, known bool) {
	if f.Code != codes.OK {
		refused = &refusal{reason: f.Refused, status: status.New(f.Code, "")}
	}
	switch {
	case c.row != nil && c.row.rule.kind == kindPublic:
		return nil, true
	case c.claims == nil && refused.reason == ReasonMissingToken && c.row != nil && c.row.rule.kind == kindOptional:
		return nil, true
	case c.claims == nil:
		return refused, true
	}
	if unbound := c.checkBinding(); unbound != nil {
		return unbound, true
	}
	if refused != nil {
		return refused, true
	}
	if refused = c.checkRow(); refused != nil || c.row.messages == nil {
		return refused, true
	}
	return c.row.messages.checkFacts(f)
}

// checkFacts returns the refusal of a call by the rules that were evaluated for it.
func (m *messageRules) checkFacts(f *Facts) (refused *refusal, known bool) {
	known = true
	for _, unmet := range m.refusals() {
		if unmet.rule == f.UnmetRule {
			return unmet, true
		}
		known = known && slices.Contains(f.MetRules, unmet.rule)
	}
	return nil, known
}
