package auth0grpc

import (
	"context"
	"time"
)

// SetTimer replaces time.AfterFunc for the timers that end streams.
func (i *Interceptor) SetTimer(afterFunc func(time.Duration, func()) interface{ Stop() bool }) {
	i.streams.afterFunc = func(d time.Duration, f func()) timer { return afterFunc(d, f) }
}

// StatusesSent reports whether no status of an ended stream is about to be sent.
func (i *Interceptor) StatusesSent() bool {
	i.streams.statuses.mu.Lock()
	defer i.streams.statuses.mu.Unlock()
	return i.streams.statuses.running == 0
}

// RevocationsRemembered returns how many revocations are held.
func (i *Interceptor) RevocationsRemembered() int { return i.verifier.revocations.Len() }

// HoldLocks holds the locks that calls may have to wait for, until release.
func (i *Interceptor) HoldLocks() (release func()) {
	i.streams.timerMu.Lock()
	for n := range i.streams.shards {
		i.streams.shards[n].mu.Lock()
	}
	return func() {
		for n := range i.streams.shards {
			i.streams.shards[n].mu.Unlock()
		}
		i.streams.timerMu.Unlock()
	}
}

// FillSignatureGate makes the signature gate of tokens reject further calls, until
// release.
func (i *Interceptor) FillSignatureGate() (release func()) { return i.verifier.signatures.fill() }

// FillProofGate is FillSignatureGate for the gate of DPoP proofs.
func (i *Interceptor) FillProofGate() (release func()) { return i.binder.gate.fill() }

func (g *signatureGate) fill() (release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	inProgress, waiters := g.inProgress, g.waiters
	g.inProgress, g.waiters = g.open, 0
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.inProgress, g.waiters = inProgress, waiters
	}
}

// SetProofGate replaces the signature gate of DPoP proofs.
func (i *Interceptor) SetProofGate(begin func(context.Context) error, end func(good bool)) {
	i.binder.beginCheck = func(ctx context.Context) *refusal {
		if err := begin(ctx); err != nil {
			return contextRefusal(err)
		}
		return nil
	}
	i.binder.endCheck = end
}

// newTestVerifier returns a verifier that refuses bound tokens.
func newTestVerifier(config *Config) *verifier {
	var b *bindingChecker
	return newVerifier(config, b.refuseConfirmation, nil)
}

// RuleMembers returns the name of each kind of rule in JSON.
func RuleMembers() []string {
	var members []string
	for _, kind := range ruleKinds[1:] {
		members = append(members, kind.member)
	}
	return members
}

// TokenFacts holds the properties of a token that a rule can name.
type TokenFacts struct {
	Scopes, Permissions         []string
	Organization, Client, Actor string
}

// RowCheck returns a function that reports whether the table admits a method with a
// valid token of these properties.
func RowCheck(methods map[string]Rule, fullMethod string) func(*TokenFacts) bool {
	t, faults := newTable(methods)
	if len(faults) > 0 {
		panic(faults[0])
	}
	r := t.lookup(fullMethod)
	return func(facts *TokenFacts) bool {
		if r == nil || r.rule.kind == kindPublic {
			return r != nil
		}
		token := &Token{
			scopes: facts.Scopes, permissions: facts.Permissions, organizationID: facts.Organization, clientID: facts.Client,
			allowedActor: facts.Actor,
		}
		if facts.Actor != "" {
			token.actors = []string{facts.Actor}
		}
		return r.check(token) == nil
	}
}
