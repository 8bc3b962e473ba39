package auth0grpc

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

// maxLogoutBody bounds the form that carries a logout token.
const maxLogoutBody = 2 * maxTokenBytes

// BackChannelLogout returns a handler for Auth0's OIDC Back-Channel Logout (OpenID
// Connect Back-Channel Logout 1.0). The handler verifies the logout token and revokes
// every access token that the same issuer issued for its subject until then, as
// [Interceptor.Revoke] does. clientIDs are the applications that have the handler's URL
// as their back-channel logout URI; the aud of a logout token must contain one of them.
//
// The handler answers 200 if the revocation was made, and 400 if the token does not
// verify. It answers 503 if the issuer's keys or the feed are unavailable, or the server
// is busy: the sender may retry. A logout token without sub gets a 400: access tokens do
// not name the session (sid) that they belong to. A token that is sent again has no
// further effect.
//
// A revocation covers the issuer of the logout token only. A user with tokens of two
// domains of one tenant, canonical and custom, stays logged in at the other domain. Use
// [AnyIssuer] with [Interceptor.Revoke] to end both.
func (i *Interceptor) BackChannelLogout(clientIDs ...string) http.Handler {
	clientIDs = slices.Clone(clientIDs)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if i.verifier == nil { // the zero Interceptor
			http.Error(w, "not configured", http.StatusServiceUnavailable)
			return
		}
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "want POST", http.StatusMethodNotAllowed)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxLogoutBody)
		raw := r.PostFormValue("logout_token")
		token, refused := i.verifier.verifyLogout(r.Context(), i.clock.now(), raw, clientIDs)
		switch {
		case refused != nil && refused.sentinel == ErrInvalidToken:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":"invalid_request"}`)
			return
		case refused != nil:
			http.Error(w, "not possible now, try again", http.StatusServiceUnavailable)
			return
		}
		// The revocation includes the tokens of the second in which the user logged out.
		expiry := token.issuedAt.Truncate(time.Second).Add(time.Second)
		// A copy, because a feed may keep it: the claim is a part of the whole payload.
		subject := strings.Clone(token.subject)
		err := i.Revoke(r.Context(), Revocation{Issuer: strings.Clone(token.issuer), Subject: subject, IssuedBefore: expiry})
		if err != nil {
			http.Error(w, "revoked on this replica alone", http.StatusServiceUnavailable)
		}
	})
}

// verifyLogout verifies a logout token. It first makes the checks that need no key, as
// for an access token, and passes the token to go-oidc after the signature check.
func (v *verifier) verifyLogout(ctx context.Context, now time.Time, raw string, clientIDs []string) (c *logoutClaims, refused *refusal) {
	defer recoverAsRefusal(&refused)
	if len(raw) > maxTokenBytes {
		return nil, refusedMalformed
	}
	a := &unverifiedToken{raw: raw, presented: raw}
	if err := a.parsed.Parse(raw, nil); err != nil {
		return nil, refusedMalformed
	}
	if refused := v.checkLogoutHeader(&a.parsed.Header); refused != nil {
		return nil, refused
	}
	if c, refused = parseLogoutClaims(a.parsed.Payload); refused != nil {
		return nil, refused
	}
	issuer := v.issuers[c.issuer]
	if issuer == nil {
		return nil, refusedIssuer
	}
	clientIndex := slices.IndexFunc(clientIDs, func(id string) bool { return id != "" && slices.Contains(c.audience, id) })
	if clientIndex < 0 {
		return nil, refusedAudience
	}
	if refused := v.checkLogoutTimes(c, now); refused != nil {
		return nil, refused
	}
	keys, err := issuer.keys.Keys(ctx, now, a.parsed.Header.KeyID, a.parsed.Header.Algorithm)
	if err != nil {
		return nil, keyRefusal(err)
	}
	a.payload = []byte(a.parsed.Payload)
	if a.signingKey, refused = v.findSigningKey(ctx, &a.parsed, keys); refused != nil {
		return nil, refused
	}
	idVerifier := oidc.NewVerifier(c.issuer, preverifiedKeySet{}, &oidc.Config{ClientID: clientIDs[clientIndex], SupportedSigningAlgs: v.algorithms, Now: func() time.Time { return now }})
	a.Context = ctx
	if _, err := idVerifier.VerifyLogout(a, raw); err != nil {
		return nil, refusedVerificationFailed
	}
	return c, nil
}

// checkLogoutHeader checks the algorithm and the type. Auth0 sends JWT; the type
// of the standard is logout+jwt (OpenID Connect Back-Channel Logout 1.0, section
// 2.4).
func (v *verifier) checkLogoutHeader(h *jws.Header) *refusal {
	if !slices.Contains(v.algorithms, h.Algorithm) {
		return refusedAlgorithm
	}
	if h.Type == "" || isMediaType(h.Type, "jwt") || isMediaType(h.Type, "logout+jwt") {
		return nil
	}
	return refusedType
}

// logoutEvent is the member of events that makes a token a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutClaims are the claims of a logout token (OpenID Connect Back-Channel
// Logout 1.0, section 2.4).
type logoutClaims struct {
	issuer, subject  string
	tokenID          string
	audience         []string
	issuedAt, expiry time.Time
	isLogout         bool // events has the required member
}

// parseLogoutClaims reads the payload of a logout token. All of iss, sub, aud,
// iat, exp, jti and events are required, although the standard accepts a sid
// without a sub, and nonce is forbidden.
func parseLogoutClaims(payload string) (*logoutClaims, *refusal) {
	c := &logoutClaims{}
	if strictjson.Object(payload, c.setClaim) != nil {
		return nil, refusedClaims
	}
	if c.issuer == "" || c.subject == "" || c.tokenID == "" || len(c.audience) == 0 ||
		c.issuedAt.Unix() <= 0 || c.expiry.Unix() <= 0 || !c.isLogout {
		return nil, refusedClaims
	}
	return c, nil
}

// logoutClaimNames are the claims that matter here or in go-oidc.
var logoutClaimNames = [...]string{"iss", "sub", "aud", "iat", "exp", "jti", "sid", "events", "nonce"}

// setClaim stores one member of the payload.
func (c *logoutClaims) setClaim(name, value string) error {
	ok := true
	switch name {
	case "iss":
		c.issuer, ok = strictjson.String(value)
	case "sub":
		c.subject, ok = strictjson.String(value)
	case "aud":
		c.audience, ok = parseAudience(value)
	case "iat":
		c.issuedAt, ok = strictjson.Time(value)
	case "exp":
		c.expiry, ok = strictjson.Time(value)
	case "jti":
		c.tokenID, ok = strictjson.String(value)
	case "sid":
		_, ok = strictjson.String(value)
	case "events":
		ok = strictjson.Object(value, func(name, value string) error {
			if name == logoutEvent {
				c.isLogout = strings.HasPrefix(value, "{")
			}
			return nil
		}) == nil
	case "nonce": // the mark of an ID token, with any value
		ok = false
	default: // encoding/json, and with it go-oidc, reads "SUB" as sub
		ok = !slices.ContainsFunc(logoutClaimNames[:], func(claim string) bool { return strings.EqualFold(claim, name) })
	}
	if !ok {
		return errClaimType
	}
	return nil
}

// checkLogoutTimes refuses a logout token that has expired, that is from the
// future, or that is so old that every token it could revoke has expired.
func (v *verifier) checkLogoutTimes(c *logoutClaims, now time.Time) *refusal {
	switch {
	case !now.Before(c.expiry) || !c.issuedAt.Before(c.expiry):
		return refusedExpired
	case c.issuedAt.After(now.Add(maxClockSkew)):
		return refusedNotYetValid
	case v.revocations.Expired(c.issuedAt.Add(time.Second), now):
		return refusedExpired
	}
	return nil
}
