package auth0grpc

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/logging"
)

// A Token holds the claims of a verified access token. It is shared between calls and
// immutable: the results of its methods belong to the caller. It does not contain the
// token itself, so it cannot be forwarded, and it prints only its subject.
//
// Scopes limit the requests of the client on the subject's behalf. They do not say
// which records belong to the subject: the handler must check that (CVE-2024-27916
// shows the consequence of a missing check).
type Token struct {
	issuer         string
	subject        string
	clientID       string
	organizationID string
	audience       []string
	scopes         []string
	permissions    []string
	actors         []string // of act, the outermost first
	actorIssuer    string   // iss of the outermost actor, or empty
	allowedActor   string   // the actor that ActedBy compares, or empty
	issuedAt       time.Time
	expiry         time.Time
	payload        string        // the JSON object of all claims
	ask            relationAsker // nil without a RelationChecker
}

// A relationAsker returns whether the subject of a token has a relation to an object, or
// the refusal of a call that has no answer.
type relationAsker func(ctx context.Context, t *Token, fullMethod, relation, object string) (bool, *refusal)

// Issuer returns the iss claim: one of [Config.Issuers], byte for byte.
func (t *Token) Issuer() string { return t.issuer }

// Subject returns the sub claim, never empty: a user ("auth0|…"), or a client
// ("…@clients" by default) for a machine's own token.
func (t *Token) Subject() string { return t.subject }

// ClientID returns the application that the token was issued to: the azp claim of
// Auth0's token profile, or client_id of the RFC 9068 profile. It is empty if the token
// has neither.
func (t *Token) ClientID() string { return t.clientID }

// OrganizationID returns the org_id claim, or "" for a token without one.
func (t *Token) OrganizationID() string { return t.organizationID }

// Audience returns the aud claim as a list, also if the token has a single string. One
// of the elements is in [Config.Audiences].
func (t *Token) Audience() []string { return slices.Clone(t.audience) }

// Scopes returns the scopes that the client was granted, in the order of the scope
// claim; nil for a token without one.
func (t *Token) Scopes() []string { return slices.Clone(t.scopes) }

// Permissions returns the permissions claim of Auth0's role-based access control: all
// permissions of the user for this API, requested by the client or not. It is nil for a
// token without one.
func (t *Token) Permissions() []string { return slices.Clone(t.permissions) }

// IssuedAt returns the iat claim.
func (t *Token) IssuedAt() time.Time { return t.issuedAt }

// Expiry returns the exp claim, without [Config.ClockSkew].
func (t *Token) Expiry() time.Time { return t.expiry }

// HasScope reports whether the token was granted exactly this scope. It is
// case-sensitive and supports no wildcards or hierarchy (RFC 6749, section 3.3).
func (t *Token) HasScope(scope string) bool { return slices.Contains(t.scopes, scope) }

// HasPermission reports whether the permissions claim has exactly this entry.
func (t *Token) HasPermission(permission string) bool {
	return slices.Contains(t.permissions, permission)
}

// Claims decodes all claims into dst as encoding/json does, mainly for custom claims.
// Each call decodes them anew.
func (t *Token) Claims(dst any) error {
	if err := json.Unmarshal([]byte(t.payload), dst); err != nil {
		return fmt.Errorf("auth0grpc: decoding claims: %w", err)
	}
	return nil
}

// Format prints the subject for every verb, so a token, or a copy of it, in a log shows
// no claims (GO-2024-2978).
func (t Token) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "Token(%q)", t.subject) }

// LogValue is Format for log/slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

type tokenKey struct{}

func contextWithToken(ctx context.Context, t *Token) context.Context {
	return &tokenContext{ctx, t}
}

// A tokenContext is a context with a token. It does what [context.WithValue] does, in half
// the time.
type tokenContext struct {
	context.Context
	token *Token
}

// Value implements [context.Context].
func (c *tokenContext) Value(key any) any {
	if key == (tokenKey{}) {
		return c.token
	}
	return c.Context.Value(key)
}

// Format leaves out the claims, as [Token.Format] does: fmt would print the fields of c.
func (c *tokenContext) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "%v.WithToken", c.Context) }

// TokenFromContext returns the verified token of the call that a handler's context
// belongs to. It reports false if no token was verified: on [Public] methods, on
// [Optional] ones called without a token, and outside of a call.
func TokenFromContext(ctx context.Context) (*Token, bool) {
	t, _ := ctx.Value(tokenKey{}).(*Token)
	return t, t != nil
}

// withoutToken returns ctx without the token that another Interceptor put there: a
// handler may rely only on a token that this Interceptor verified. It returns ctx
// itself if there is none.
func withoutToken(ctx context.Context) context.Context {
	if _, ok := TokenFromContext(ctx); !ok {
		return ctx
	}
	return contextWithToken(ctx, nil)
}

// LogFields returns log fields that identify the caller, for go-grpc-middleware's
// logging interceptor chained behind ours:
//
//	logging.UnaryServerInterceptor(logger, logging.WithFieldsFromContext(auth0grpc.LogFields))
//
// The fields are auth.subject, auth.client_id, auth.issuer and, if the token has
// them, auth.organization_id and auth.actor; nil for a call without a verified token. They are made
// on demand, so a call that is not logged costs nothing.
func LogFields(ctx context.Context) logging.Fields {
	t, ok := TokenFromContext(ctx)
	if !ok {
		return nil
	}
	fields := logging.Fields{"auth.subject", t.subject, "auth.client_id", t.clientID, "auth.issuer", t.issuer}
	if t.organizationID != "" {
		fields = append(fields, "auth.organization_id", t.organizationID)
	}
	if actor := t.Actor(); actor != "" {
		fields = append(fields, "auth.actor", actor)
	}
	return fields
}
