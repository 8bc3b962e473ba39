package auth0grpctest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
)

// A probe is one call of a sweep with its expected outcome.
type probe struct {
	method  string
	shape   grpc.StreamDesc
	rule    string // for people
	bearer  bool   // whether a token is sent
	grants  grants // of the token
	others  grants // more grants of the token, which only other rows name
	passes  bool   // whether the call has to reach the handler
	foreign []byte // the request, for a record of another party; nil for an empty one
}

// token describes the token of the call.
func (p *probe) token() string {
	switch {
	case p.foreign != nil:
		return "with " + p.grants.String() + ", for a record of another party"
	case !p.bearer:
		return "without a token"
	case len(p.grants) == 0 && len(p.others) > 0:
		return fmt.Sprintf("with a token of %d grants that only other rows name", len(p.others))
	case len(p.others) > 0:
		return fmt.Sprintf("with %s, and %d grants that only other rows name", p.grants, len(p.others))
	}
	return "with " + p.grants.String()
}

// rowProbes returns the calls that test a row. every holds the grants that any row of
// the table names.
func rowProbes(row auth0grpc.Rule, listed bool, all grants, findings *[]string, fullMethod string) []probe {
	if !listed {
		probes := []probe{{rule: "no row"}, {rule: "no row", bearer: true}}
		for _, token := range all.tokens() {
			probes = append(probes, probe{rule: "no row", bearer: true, others: token})
		}
		return probes
	}
	rule, err := ruleOf(row)
	if err != nil {
		*findings = append(*findings, fmt.Sprintf("%s (%s): the rule cannot be swept: %v", fullMethod, row, err))
		return nil
	}
	lenient := rule.ReportOnly || rule.Public
	probes := []probe{{passes: lenient || rule.Optional}}
	seen := map[string]bool{}
	add := func(g grants, passes bool) {
		if text := g.String(); !seen[text] {
			seen[text] = true
			probes = append(probes, probe{bearer: true, grants: g, passes: passes})
		}
	}
	satisfyingGrants := rule.satisfyingGrants()
	if len(satisfyingGrants) == 0 {
		*findings = append(*findings, fmt.Sprintf("%s (%s): no token was found that meets the rule", fullMethod, row))
	}
	for _, way := range satisfyingGrants[:min(len(satisfyingGrants), maxKinds)] {
		for _, tried := range append([]grants{way}, way.withoutEach()...) {
			if delegated, ok := tried.merge(grants{otherActor}); ok && rule.namesNotDelegated() && !rule.RequireDPoP && !rule.RequireMTLS {
				add(delegated, lenient || rule.passes(delegated))
			}
			switch {
			case rule.RequireDPoP || rule.RequireMTLS:
				if !rule.ReportOnly {
					add(tried, false)
				}
			default:
				add(tried, lenient || rule.passes(tried))
			}
		}
	}
	if !lenient && !rule.RequireDPoP && !rule.RequireMTLS {
		for _, way := range satisfyingGrants[:min(len(satisfyingGrants), 1)] {
			anonymous := append(slices.Clone(way), anonymousSubject)
			add(anonymous, rule.passes(anonymous))
		}
		probes = append(probes, rule.otherProbes(satisfyingGrants, all)...)
	}
	if foreign := rule.foreignMessage(fullMethod); rule.needsMessage() && foreign != nil && !rule.RequireDPoP && !rule.RequireMTLS {
		for _, way := range satisfyingGrants[:min(len(satisfyingGrants), maxKinds)] {
			probes = append(probes, probe{bearer: true, grants: way, foreign: foreign, passes: lenient})
		}
	}
	for i := range probes {
		probes[i].rule = row.String()
	}
	return probes
}

// otherProbes returns calls that do not meet the rule, with tokens of all grants that
// other rows name. They find a row that was loosened by the scope of another.
func (r *sweepRule) otherProbes(satisfyingGrants []grants, all grants) []probe {
	foreignGrants := slices.DeleteFunc(slices.Clone(all), func(g grant) bool { return slices.Contains(r.grants(), g) })
	var probes []probe
	seen := map[string]bool{}
	for _, way := range satisfyingGrants[:min(len(satisfyingGrants), maxKinds)] {
		for _, base := range way.withoutEach() {
			base = r.fill(base).sorted()
			if len(seen) == maxKinds {
				return probes
			}
			if text := base.String(); r.met(base) || seen[text] {
				continue
			}
			seen[base.String()] = true
			if len(foreignGrants) == 0 {
				probes = append(probes, probe{bearer: true, grants: base})
			}
			for _, part := range foreignGrants.tokens() {
				probes = append(probes, probe{bearer: true, grants: base, others: part})
			}
		}
	}
	return probes
}

// fill adds each grant that the rule names, unless the token would then meet the rule.
func (r *sweepRule) fill(base grants) grants {
	for _, g := range r.grants() {
		if more, ok := base.merge(grants{g}); ok && !r.met(more) {
			base = more
		}
	}
	return base
}

// probe makes the call and describes how its outcome differs from the row, or returns "".
func (s *sweep) probe(p *probe) string {
	err := s.call(p)
	reason, refused := auth0grpc.ReasonFromError(err)
	switch {
	case status.Code(err) == codes.Unavailable && !refused && s.conn.GetState() != connectivity.Ready:
		return fmt.Sprintf("%s (%s) %s: the call came to nothing: %v", p.method, p.rule, p.token(), err)
	case refused && p.passes:
		return fmt.Sprintf("%s (%s) %s: refused, %s; want it let through", p.method, p.rule, p.token(), reason)
	case !refused && !p.passes:
		return fmt.Sprintf("%s (%s) %s: let through; want it refused", p.method, p.rule, s.narrow(p).token())
	}
	return ""
}

// narrow returns the call with none or one of the grants of other rows, if that
// suffices to be let through, and else the call itself.
func (s *sweep) narrow(p *probe) *probe {
	for _, other := range slices.Concat([]grants{nil}, p.others.each()) {
		copied := *p
		copied.grants, copied.others = slices.Concat(p.grants, other), nil
		if _, refused := auth0grpc.ReasonFromError(s.call(&copied)); !refused {
			return &copied
		}
	}
	return p
}

// call makes the call of a probe in its own shape. It sends one message and
// returns the error of the answer; nil for a message, the end of the stream, or a
// handler that waits.
func (s *sweep) call(p *probe) error {
	ctx, cancel := context.WithTimeout(context.Background(), sweepLimit)
	defer cancel()
	var options []grpc.CallOption
	if p.bearer {
		claims := slices.Concat(p.grants, p.others).claims(s.claims)
		options = append(options, grpc.PerRPCCredentials(bearer(s.tenant.Token(claims))))
	}
	answered := make(chan error, 1)
	go func() { answered <- s.exchange(ctx, &p.shape, p.method, p.foreign, options...) }()
	wait := time.NewTimer(waitLimit)
	defer wait.Stop()
	select {
	case err := <-answered:
		return err
	case <-wait.C:
	}
	// Either the handler waits, or this machine stood still. In the second case the
	// refusal arrives before the answers to calls that are made now.
	for range 3 {
		_ = s.exchange(ctx, &grpc.StreamDesc{}, "/auth0grpctest/Unknown", nil)
	}
	select {
	case err := <-answered:
		return err
	default:
		return nil
	}
}

// exchange makes a call with one message and returns the error of the answer.
func (s *sweep) exchange(ctx context.Context, shape *grpc.StreamDesc, method string, message []byte, options ...grpc.CallOption) error {
	stream, err := s.conn.NewStream(ctx, shape, method, append(options, grpc.ForceCodecV2(emptyCodec{}))...)
	if err != nil {
		return err
	}
	// An error here means that the call has ended; RecvMsg returns the reason.
	_ = stream.SendMsg(message)
	_ = stream.CloseSend()
	if err := stream.RecvMsg(nil); err != io.EOF {
		return err
	}
	return nil
}

// emptyCodec writes the empty message of any type, or the bytes of one, and reads none.
type emptyCodec struct{}

func (emptyCodec) Marshal(message any) (mem.BufferSlice, error) {
	text, _ := message.([]byte)
	return mem.BufferSlice{mem.SliceBuffer(text)}, nil
}

func (emptyCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (emptyCodec) Name() string                         { return "proto" }

// claims returns the claims of a token that has the grants and no others.
func (g grants) claims(more map[string]any) map[string]any {
	claims := map[string]any{}
	maps.Copy(claims, more)
	for _, claim := range []string{scopeClaim, permissionsClaim, organizationClaim, actorClaim, "client_id"} {
		delete(claims, claim)
	}
	claims[clientClaim] = "auth0grpctest-sweep" // no client that a rule names
	if scopes := g.names(scopeClaim); len(scopes) > 0 {
		claims[scopeClaim] = strings.Join(scopes, " ")
	}
	if permissions := g.names(permissionsClaim); len(permissions) > 0 {
		claims[permissionsClaim] = permissions
	}
	for _, claim := range []string{organizationClaim, clientClaim, subjectClaim} {
		if names := g.names(claim); len(names) > 0 {
			claims[claim] = names[0]
		}
	}
	if actors := g.names(actorClaim); len(actors) > 0 {
		claims[actorClaim] = map[string]any{"sub": actors[0]}
	}
	return claims
}
