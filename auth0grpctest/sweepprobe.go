package auth0grpctest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
)

// A probe is one call of a sweep and what has to become of it.
type probe struct {
	method string
	shape  grpc.StreamDesc
	rule   string // for people
	bearer bool   // whether a token is sent
	grants grants // of the token
	passes bool   // whether the call has to reach the handler
}

// rowProbes returns the calls by which a row is judged.
func rowProbes(row auth0grpc.Rule, listed bool, faults *[]string, fullMethod string) []probe {
	if !listed {
		return []probe{{rule: "no row"}, {rule: "no row", bearer: true}}
	}
	rule, err := ruleOf(row)
	if err != nil {
		*faults = append(*faults, fmt.Sprintf("%s (%s): the rule cannot be swept: %v", fullMethod, row, err))
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
	ways := rule.satisfyingGrants()
	if len(ways) == 0 {
		*faults = append(*faults, fmt.Sprintf("%s (%s): no token was found that meets the rule", fullMethod, row))
	}
	for _, way := range ways[:min(len(ways), maxKinds)] {
		for _, tried := range append([]grants{way}, way.withoutEach()...) {
			switch {
			case rule.RequireDPoP || rule.RequireMTLS:
				if !rule.ReportOnly {
					add(tried, false)
				}
			default:
				add(tried, lenient || rule.met(tried))
			}
		}
	}
	for i := range probes {
		probes[i].rule = row.String()
	}
	return probes
}

// probe makes the call and returns what is wrong with its outcome, or "".
func (s *sweep) probe(p *probe) string {
	limit := refusalLimit
	if p.passes {
		limit = passLimit
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	options := []grpc.CallOption{grpc.ForceCodecV2(emptyCodec{})}
	description := "without a token"
	if p.bearer {
		description = "with " + p.grants.String()
		options = append(options, grpc.PerRPCCredentials(bearer(s.tenant.Token(p.grants.claims(s.claims)))))
	}
	err := s.call(ctx, p, options)
	reason, refused := auth0grpc.ReasonFromError(err)
	switch {
	case status.Code(err) == codes.Unavailable && !refused && s.conn.GetState() != connectivity.Ready:
		return fmt.Sprintf("%s (%s) %s: the call came to nothing: %v", p.method, p.rule, description, err)
	case refused && p.passes:
		return fmt.Sprintf("%s (%s) %s: refused, %s; want it let through", p.method, p.rule, description, reason)
	case !refused && !p.passes:
		return fmt.Sprintf("%s (%s) %s: let through; want it refused", p.method, p.rule, description)
	}
	return ""
}

// call sends one empty message and returns the error that comes in answer; nil
// for a message or the end of the stream.
func (s *sweep) call(ctx context.Context, p *probe, options []grpc.CallOption) error {
	stream, err := s.conn.NewStream(ctx, &p.shape, p.method, options...)
	if err != nil {
		return err
	}
	// An error here means that the call is over; RecvMsg tells why.
	_ = stream.SendMsg(nil)
	_ = stream.CloseSend()
	if err := stream.RecvMsg(nil); err != io.EOF {
		return err
	}
	return nil
}

// emptyCodec writes the empty message of any type and reads none.
type emptyCodec struct{}

func (emptyCodec) Marshal(any) (mem.BufferSlice, error) { return nil, nil }
func (emptyCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (emptyCodec) Name() string                         { return "proto" }

// claims returns the claims of a token that has the grants and no others.
func (g grants) claims(more map[string]any) map[string]any {
	claims := map[string]any{}
	maps.Copy(claims, more)
	for _, claim := range []string{scopeClaim, permissionsClaim, organizationClaim, "client_id"} {
		delete(claims, claim)
	}
	claims[clientClaim] = "auth0grpctest-sweep" // no client that a rule names
	if scopes := g.names(scopeClaim); len(scopes) > 0 {
		claims[scopeClaim] = strings.Join(scopes, " ")
	}
	if permissions := g.names(permissionsClaim); len(permissions) > 0 {
		claims[permissionsClaim] = permissions
	}
	for _, claim := range []string{organizationClaim, clientClaim} {
		if names := g.names(claim); len(names) > 0 {
			claims[claim] = names[0]
		}
	}
	return claims
}
