package auth0grpc

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

// logoutBody bounds the form that carries a logout token.
const logoutBody = 2 * maxTokenBytes

// BackChannelLogout returns a handler for Auth0's OIDC Back-Channel Logout
// (OpenID Connect Back-Channel Logout 1.0): it verifies the logout token and
// revokes every access token that its subject was issued until then, as Revoke
// does, on all replicas where Config.RevocationFeed is set. clientIDs are the
// applications that have the handler's URL as their back-channel logout URI; a
// logout token must be meant for one of them.
//
// It answers 200 when the revocation was made and 400 to a token that does not
// verify; 503 where the issuer's keys or the feed are out of reach, so that what
// sends may try again. A logout token without sub is a 400: access tokens do not
// say which session (sid) they belong to.
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
		r.Body = http.MaxBytesReader(w, r.Body, logoutBody)
		token, refused := i.verifier.verifyLogout(r.Context(), r.PostFormValue("logout_token"), clientIDs)
		switch {
		case refused != nil && refused.kind == ErrInvalidToken:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `{"error":"invalid_request"}`)
			return
		case refused != nil:
			http.Error(w, "not possible now, try again", http.StatusServiceUnavailable)
			return
		}
		// iat counts whole seconds; what was issued within that second goes as well.
		err := i.Revoke(r.Context(), Revocation{Issuer: token.Issuer, Subject: token.Subject, IssuedBefore: token.IssuedAt.Add(time.Second)})
		if err != nil {
			http.Error(w, "revoked on this replica alone", http.StatusServiceUnavailable)
		}
	})
}

// verifyLogout verifies a logout token through go-oidc, by the same order as an
// access token: the algorithm and the issuer before any key is looked for.
func (v *verifier) verifyLogout(ctx context.Context, raw string, clientIDs []string) (token *oidc.LogoutToken, refused *refusal) {
	defer contain(&refused)
	if len(raw) > maxTokenBytes {
		return nil, refusedMalformed
	}
	parsed, err := jws.Parse(raw)
	if err != nil {
		return nil, refusedMalformed
	}
	if !slices.Contains(v.algorithms, parsed.Header.Algorithm) {
		return nil, refusedAlgorithm
	}
	var iss string
	var audience []string
	err = strictjson.Object(parsed.Payload, func(name, value string) error {
		switch name {
		case "iss":
			iss, _ = strictjson.String(value)
		case "aud":
			audience, _ = stringOrStrings(value)
		}
		return nil
	})
	from := v.issuers[iss]
	if err != nil || from == nil {
		return nil, refusedIssuer
	}
	client := slices.IndexFunc(clientIDs, func(id string) bool { return id != "" && slices.Contains(audience, id) })
	if client < 0 {
		return nil, refusedAudience
	}
	keys, err := from.keys.Keys(ctx, parsed.Header.KeyID, parsed.Header.Algorithm)
	if err != nil {
		return nil, withoutKey(err)
	}
	a := &attempt{raw: raw, parsed: parsed}
	if a.by, refused = v.signer(ctx, parsed, keys); refused != nil {
		return nil, refused
	}
	through := oidc.NewVerifier(iss, vouchedFor{}, &oidc.Config{ClientID: clientIDs[client], SupportedSigningAlgs: v.algorithms, Now: v.now})
	token, err = through.VerifyLogout(context.WithValue(ctx, attemptKey{}, a), raw)
	if err != nil || token.Subject == "" || token.IssuedAt.After(v.now().Add(maxClockSkew)) {
		return nil, refusedVerificationFailed
	}
	return token, nil
}
