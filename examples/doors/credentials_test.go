package main

import (
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

type claims = map[string]any

const authority = "https://api.example.com" // in proofs

// A credential is how a client presents itself to a method with a rule.
type credential struct {
	name         string
	rule         *auth0grpc.Rule // nil: the method has no row
	unregistered bool            // the service does not have the method
	reason       auth0grpc.Reason
	repeat       bool // the same request was sent before
	present      func(c *cell) presented
}

// A wallet makes the credentials of one tenant.
type wallet struct {
	*auth0grpctest.Tenant
	f           *fixture
	down, other *auth0grpctest.Tenant
	key         *auth0grpctest.DPoPKey
}

func bearer(tokens ...string) func(*cell) presented {
	values := make([]string, len(tokens))
	for i, token := range tokens {
		values[i] = "Bearer " + token
	}
	return func(*cell) presented { return presented{authorization: values} }
}

func raw(authorization ...string) func(*cell) presented {
	return func(*cell) presented { return presented{authorization: authorization} }
}

// proving presents a token with one proof. change replaces claims of the proof.
func (w *wallet) proving(token string, key *auth0grpctest.DPoPKey, change func(claims)) func(*cell) presented {
	return func(c *cell) presented {
		return presented{authorization: []string{"DPoP " + token}, dpop: []string{w.proof(c, token, key, change)}}
	}
}

func (w *wallet) proof(c *cell, token string, key *auth0grpctest.DPoPKey, change func(claims)) string {
	proof := claims{"htm": c.htm, "nonce": w.f.nonce}
	htu := authority + c.path
	if change != nil {
		change(proof)
	}
	if changed, ok := proof["htu"]; ok {
		htu = changed.(string)
		delete(proof, "htu")
	}
	return key.Proof(htu, token, proof)
}

func (w *wallet) credentials() []credential {
	read, any, open, optional := auth0grpc.Scopes("read:orders"), auth0grpc.Authenticated(), auth0grpc.Public(), auth0grpc.Optional()
	organization, permission := auth0grpc.Organizations("org_a"), auth0grpc.Permissions("orders:read")
	client, direct, dpop, mtls := auth0grpc.Clients("client-a"), auth0grpc.NotDelegated(), any.RequireDPoP(), any.RequireMTLS()
	scoped := w.Token(claims{"scope": "read:orders"})
	bound, certified := w.BoundToken(nil, w.key), w.CertificateBoundToken(nil, w.f.certificate)
	elsewhere := w.CertificateBoundToken(nil, auth0grpctest.NewCertificateAuthority().Client("other").Leaf)
	parts := strings.Split(scoped, ".")
	with := func(present func(*cell) presented) func(*cell) presented {
		return func(c *cell) presented { p := present(c); p.withCertificate = true; return p }
	}
	return []credential{
		{name: "good", rule: &read, present: bearer(scoped)},
		{name: "good, RFC 9068", rule: &read, present: bearer(w.RFC9068Token(claims{"scope": "read:orders"}))},
		{name: "none", rule: &read, reason: auth0grpc.ReasonMissingToken, present: raw()},
		{name: "empty value", rule: &read, reason: auth0grpc.ReasonMalformedAuthorization, present: raw("")},
		{name: "scheme alone", rule: &read, reason: auth0grpc.ReasonMalformedAuthorization, present: raw("Bearer")},
		{name: "Basic", rule: &read, reason: auth0grpc.ReasonMalformedAuthorization, present: raw("Basic dXNlcjpwYXNz")},
		{name: "token without a scheme", rule: &read, reason: auth0grpc.ReasonMalformedAuthorization, present: raw(scoped)},
		{name: "two values", rule: &read, reason: auth0grpc.ReasonMalformedAuthorization, present: bearer(scoped, scoped)},
		{name: "two values, first bad", rule: &read, reason: auth0grpc.ReasonMalformedAuthorization, present: bearer("x", scoped)},
		{name: "two values, last bad", rule: &read, reason: auth0grpc.ReasonMalformedAuthorization, present: bearer(scoped, "x")},
		{name: "two in one value", rule: &read, reason: auth0grpc.ReasonMalformedAuthorization, present: raw("Bearer " + scoped + ", Bearer " + scoped)},
		{name: "expired", rule: &read, reason: auth0grpc.ReasonTokenExpired, present: bearer(w.Token(claims{"exp": time.Now().Add(-time.Hour)}))},
		{name: "not yet valid", rule: &read, reason: auth0grpc.ReasonTokenNotYetValid, present: bearer(w.Token(claims{"nbf": time.Now().Add(time.Hour)}))},
		{name: "wrong issuer", rule: &read, reason: auth0grpc.ReasonWrongIssuer, present: bearer(w.other.Token(nil))},
		{name: "wrong audience", rule: &read, reason: auth0grpc.ReasonWrongAudience, present: bearer(w.Token(claims{"aud": "https://billing.example.com"}))},
		{name: "unknown key", rule: &read, reason: auth0grpc.ReasonUnknownKey, present: bearer(w.Sign(claims{"kid": "unknown"}, w.claims()))},
		{name: "key of another tenant", rule: &read, reason: auth0grpc.ReasonUnknownKey, present: bearer(w.other.Token(claims{"iss": w.Issuer()}))},
		{name: "tampered payload", rule: &read, reason: auth0grpc.ReasonBadSignature, present: bearer(parts[0] + "." + strings.Split(w.Token(claims{"scope": "read:orders admin"}), ".")[1] + "." + parts[2])},
		{name: "alg none", rule: &read, reason: auth0grpc.ReasonMalformedToken, present: bearer(w.Sign(claims{"alg": "none"}, w.claims()))},
		{name: "HS256 with the public key", rule: &read, reason: auth0grpc.ReasonUnsupportedAlgorithm, present: bearer(w.Sign(claims{"alg": "HS256"}, w.claims()))},
		{name: "opaque", rule: &read, reason: auth0grpc.ReasonMalformedToken, present: bearer("hFkLz9pQ")},
		{name: "oversized", rule: &read, reason: auth0grpc.ReasonTokenTooLong, present: bearer(w.Token(claims{"https://example.com/x": strings.Repeat("x", 20<<10)}))},
		{name: "ID token", rule: &read, reason: auth0grpc.ReasonWrongTokenType, present: bearer(w.IDToken(nil))},
		{name: "logout token", rule: &read, reason: auth0grpc.ReasonWrongTokenType, present: bearer(w.LogoutToken(nil))},
		{name: "claim of the wrong type", rule: &read, reason: auth0grpc.ReasonInvalidClaims, present: bearer(w.Token(claims{"scope": []string{"read:orders"}}))},
		{name: "revoked", rule: &read, reason: auth0grpc.ReasonTokenRevoked, present: bearer(w.Token(claims{"sub": "auth0|left", "scope": "read:orders"}))},
		{name: "keys unavailable", rule: &read, reason: auth0grpc.ReasonKeysUnavailable, present: bearer(w.down.Token(nil))},

		{name: "missing scope", rule: &read, reason: auth0grpc.ReasonInsufficientScope, present: bearer(w.Token(claims{"scope": "write:orders"}))},
		{name: "missing permission", rule: &permission, reason: auth0grpc.ReasonInsufficientPermissions, present: bearer(scoped)},
		{name: "wrong organization", rule: &organization, reason: auth0grpc.ReasonWrongOrganization, present: bearer(w.Token(claims{"org_id": "org_b"}))},
		{name: "right organization", rule: &organization, present: bearer(w.Token(claims{"org_id": "org_a"}))},
		{name: "wrong client", rule: &client, reason: auth0grpc.ReasonWrongClient, present: bearer(scoped)},
		{name: "delegated", rule: &direct, reason: auth0grpc.ReasonActorNotAllowed, present: bearer(w.Token(claims{"act": claims{"sub": "agent"}}))},

		{name: "public, no token", rule: &open, present: raw()},
		{name: "public, bad token", rule: &open, present: bearer("x")},
		{name: "public, two values", rule: &open, present: bearer("x", "y")},
		{name: "optional, no token", rule: &optional, present: raw()},
		{name: "optional, good token", rule: &optional, present: bearer(scoped)},
		{name: "optional, bad token", rule: &optional, reason: auth0grpc.ReasonMalformedToken, present: bearer("x")},
		{name: "unlisted", reason: auth0grpc.ReasonMethodNotListed, present: bearer(scoped)},
		{name: "unlisted, no token", reason: auth0grpc.ReasonMissingToken, present: raw()},
		{name: "unlisted, bad token", reason: auth0grpc.ReasonMalformedToken, present: bearer("x")},
		{name: "unregistered", unregistered: true, rule: &read, reason: auth0grpc.ReasonMethodNotListed, present: bearer(scoped)},
		{name: "unregistered, no token", unregistered: true, rule: &read, reason: auth0grpc.ReasonMissingToken, present: raw()},

		{name: "DPoP", rule: &any, present: w.proving(bound, w.key, nil)},
		{name: "DPoP, required", rule: &dpop, present: w.proving(bound, w.key, nil)},
		{name: "DPoP, required, Bearer", rule: &dpop, reason: auth0grpc.ReasonDPoPRequired, present: bearer(scoped)},
		{name: "DPoP, replayed", rule: &any, repeat: true, reason: auth0grpc.ReasonDPoPProofReplayed, present: w.proving(bound, w.key, nil)},
		{name: "DPoP, no nonce", rule: &any, reason: auth0grpc.ReasonUseDPoPNonce, present: w.proving(bound, w.key, func(p claims) { delete(p, "nonce") })},
		{name: "DPoP, another nonce", rule: &any, reason: auth0grpc.ReasonUseDPoPNonce, present: w.proving(bound, w.key, func(p claims) { p["nonce"] = "x" })},
		{name: "DPoP, another htm", rule: &any, reason: auth0grpc.ReasonInvalidDPoPProof, present: w.proving(bound, w.key, func(p claims) { p["htm"] = "PUT" })},
		{name: "DPoP, another path", rule: &any, reason: auth0grpc.ReasonInvalidDPoPProof, present: w.proving(bound, w.key, func(p claims) { p["htu"] = authority + "/doors.v1.Orders/DeleteOrder" })},
		{name: "DPoP, another authority", rule: &any, reason: auth0grpc.ReasonInvalidDPoPProof, present: w.proving(bound, w.key, func(p claims) { p["htu"] = "https://other.example.com" + get })},
		{name: "DPoP, another token", rule: &any, reason: auth0grpc.ReasonInvalidDPoPProof, present: w.proving(bound, w.key, func(p claims) { p["ath"] = "x" })},
		{name: "DPoP, another key", rule: &any, reason: auth0grpc.ReasonInvalidDPoPProof, present: w.proving(bound, auth0grpctest.NewDPoPKey(), nil)},
		{name: "DPoP, old proof", rule: &any, reason: auth0grpc.ReasonInvalidDPoPProof, present: w.proving(bound, w.key, func(p claims) { p["iat"] = time.Now().Add(-time.Hour).Unix() })},
		{name: "DPoP, no proof", rule: &any, reason: auth0grpc.ReasonMissingDPoPProof, present: raw("DPoP " + bound)},
		{name: "DPoP, two proofs", rule: &any, reason: auth0grpc.ReasonMissingDPoPProof, present: func(c *cell) presented {
			return presented{authorization: []string{"DPoP " + bound}, dpop: []string{w.proof(c, bound, w.key, nil), w.proof(c, bound, w.key, nil)}}
		}},
		{name: "DPoP, presented as Bearer", rule: &any, reason: auth0grpc.ReasonBoundToken, present: bearer(bound)},
		{name: "DPoP, token not bound", rule: &any, reason: auth0grpc.ReasonTokenNotBound, present: w.proving(scoped, w.key, nil)},
		{name: "DPoP, missing scope", rule: &read, reason: auth0grpc.ReasonInsufficientScope, present: w.proving(bound, w.key, nil)},

		{name: "mTLS", rule: &any, present: with(bearer(certified))},
		{name: "mTLS, required", rule: &mtls, present: with(bearer(certified))},
		{name: "mTLS, required, token not bound", rule: &mtls, reason: auth0grpc.ReasonTokenNotBound, present: with(bearer(scoped))},
		{name: "mTLS, no certificate", rule: &any, reason: auth0grpc.ReasonWrongCertificate, present: bearer(certified)},
		{name: "mTLS, another certificate", rule: &any, reason: auth0grpc.ReasonWrongCertificate, present: with(bearer(elsewhere))},
	}
}

// claims returns the claims of a good token.
func (w *wallet) claims() claims {
	now := time.Now()
	return claims{
		"iss": w.Issuer(), "sub": auth0grpctest.Subject, "aud": auth0grpctest.Audience, "azp": auth0grpctest.ClientID,
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "scope": "read:orders",
	}
}

// newWallet returns a wallet, and a fixture that accepts bound tokens.
func newWallet(t *testing.T) *wallet {
	t.Helper()
	w := &wallet{Tenant: auth0grpctest.NewTenant(t), other: auth0grpctest.NewTenant(t), down: auth0grpctest.NewTenant(t), key: auth0grpctest.NewDPoPKey()}
	w.down.SetDown(true)
	w.f = newFixture(t, auth0grpc.Config{
		Issuers: []string{w.Issuer(), w.down.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: w.HTTPClient(),
		DPoP:     auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{authority}, NonceKeys: [][]byte{make([]byte, 32)}, NonceLifetime: time.Hour},
		MTLS:     auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed},
		Resource: authority,
	})
	if err := w.f.guard.Revoke(t.Context(), auth0grpc.Revocation{Issuer: w.Issuer(), Subject: "auth0|left", IssuedBefore: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	w.f.nonce = callCheck(t, w.f, &cell{method: get, htm: "POST", path: get}, w.proving(w.BoundToken(nil, w.key), w.key, nil)(&cell{htm: "POST", path: get})).nonce
	return w
}

// Each way to present a credential has one expected reason, and it is the same at every
// door, in calls of every shape.
func TestCredentialsAtEveryDoor(t *testing.T) {
	w := newWallet(t)
	all := cells()
	credentials := w.credentials()
	for _, c := range credentials {
		w.f.setRule(t, c.rule)
		for _, cell := range all {
			if c.unregistered {
				cell = cell.unregistered()
			}
			p := c.present(cell)
			if cell.bearerOnly && (len(p.dpop) > 0 || p.withCertificate) {
				continue
			}
			if c.repeat {
				w.f.check(t, c.name+", first", cell, p, "")
			}
			w.f.check(t, c.name, cell, p, c.reason)
		}
	}
	t.Logf("%d credentials at %d doors and shapes", len(credentials), len(all))
}
