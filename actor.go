package auth0grpc

import (
	"slices"
	"strings"

	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

// maxActors is the number of actors that Auth0 puts into a token: one, and four
// nested ones.
const maxActors = 5

// setActors reads the act claim (RFC 8693, section 4.1), the outermost actor first. It
// reports false for anything but an object with a sub, and for more than maxActors. A
// malformed act must not be read as "no actor": the token would pass as the
// subject's own.
func (c *claims) setActors(value string) bool {
	for value != "" {
		a, ok := parseActor(value)
		if !ok || len(c.actors) == maxActors {
			return false
		}
		if len(c.actors) == 0 {
			c.actorIssuer = a.issuer
		}
		c.actors = append(c.actors, a.subject)
		value = a.nested
	}
	return true
}

// An actor is one level of an act claim.
type actor struct {
	subject, issuer string // sub; iss, or empty
	nested          string // act, or empty
}

// parseActor ignores other members: exp, nbf and aud have no meaning in an actor, and
// Auth0's Actions may add any.
func parseActor(value string) (a actor, ok bool) {
	err := strictjson.Nested(value, func(name, value string) error {
		ok := true
		switch name {
		case "sub":
			a.subject, ok = strictjson.String(value)
		case "iss":
			a.issuer, ok = strictjson.String(value)
		case "act":
			a.nested = value
		default:
			if refused := checkMiscased(name); refused != nil {
				return refused
			}
		}
		if !ok {
			return errClaimType
		}
		return nil
	})
	return a, err == nil && strings.TrimSpace(a.subject) != ""
}

// setAllowedActor sets the actor that [ActedBy] compares: the outermost one, unless
// it belongs to another issuer.
func (c *claims) setAllowedActor() {
	if len(c.actors) > 0 && (c.actorIssuer == "" || c.actorIssuer == c.issuer) {
		c.allowedActor = c.actors[0]
	}
}

// Actor returns the subject of the party that acts for [Token.Subject]: the sub of the
// act claim (RFC 8693, section 4.1), or "" if the issuer named no actor. If an actor has
// an issuer of its own, use [Token.Claims] for it.
func (t *Token) Actor() string {
	if len(t.actors) == 0 {
		return ""
	}
	return t.actors[0]
}

// Actors returns the subject of [Token.Actor] and of the actors before it, the latest
// first, at most five; nil without an act claim. Only the first may decide about access
// (RFC 8693, section 4.1).
func (t *Token) Actors() []string { return slices.Clone(t.actors) }

// anonymousPrefix begins the subject of an anonymous session at Auth0. No other
// claim marks such a token. Subjects of users have the form "connection|id".
const anonymousPrefix = "anon@"

// IsAnonymous reports whether the token is of an anonymous session: its subject begins
// with "anon@". Anybody can get such a token. The interceptors refuse it unless the row
// has [Rule.AllowAnonymous].
func (t *Token) IsAnonymous() bool { return strings.HasPrefix(t.subject, anonymousPrefix) }

// IsMachine reports whether the subject is a program: an application or an agent with
// its own token, and no user. That holds if gty is client-credentials, if the subject is
// the client, with or without "@clients", or if sub_profile has the word service or
// ai_agent. It parses the claims anew at each call.
//
// It reports false for a program that acts for a user: see [Token.Actor].
func (t *Token) IsMachine() bool {
	if t.clientID != "" && (t.subject == t.clientID || t.subject == t.clientID+"@clients") {
		return true
	}
	machine := false
	// The payload was parsed when the token was verified, so it has no syntax error.
	_ = strictjson.Object(t.payload, func(name, value string) error {
		text, _ := strictjson.String(value)
		switch name {
		case "gty":
			machine = machine || text == "client-credentials"
		case "sub_profile":
			machine = machine || slices.ContainsFunc(strings.Fields(text), func(word string) bool {
				return word == "service" || word == "ai_agent"
			})
		}
		return nil
	})
	return machine
}
