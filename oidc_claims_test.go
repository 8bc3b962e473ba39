package auth0grpc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/internal/jws"
	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// go-oidc gets the claims that it reads, as they were sent, and no others.
func TestCompactForm(t *testing.T) {
	var c parsedClaims
	const payload = ` { "x":{"iss":1}, "aud" : [ "a" ,"\u0062"],"\u0069ss":"https:\/\/a.example.com/","sub":"s", "exp":2e3,"iat":1000.50, "scope":"s" ,"_claim_names":{ } } `
	if refused := c.read(payload); refused != nil {
		t.Fatal(refused)
	}
	const want = `{"aud":[ "a" ,"\u0062"],"iss":"https:\/\/a.example.com/","sub":"s","exp":2e3,"iat":1000.50,"_claim_names":{ }}`
	if diff := cmp.Diff(want, string(c.forOIDC.payload())); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

// go-oidc gets alg and no other member of an ordinary header, and any other header
// as it was sent.
func TestCompactHeader(t *testing.T) {
	for header, want := range map[string]string{
		`{"alg":"RS256"}`: `{"alg":"RS256"}`,
		` {"typ":"JWT" , "alg":"\u0052S256","kid":"\ud800"} `: `{"alg":"RS256"}`,
		`{"alg":"RS256","kid":"k","typ":"JWT","x5t":"x"}`:     `{"alg":"RS256","kid":"k","typ":"JWT","x5t":"x"}`,
		`{"alg":"RS256","jwk":{"kty":"oct"}}`:                 `{"alg":"RS256","jwk":{"kty":"oct"}}`,
		`{"alg":"RS256","ALG":"none"}`:                        `{"alg":"RS256","ALG":"none"}`,
		`{"alg":"RS256","cty":5}`:                             `{"alg":"RS256","cty":5}`,
	} {
		encode := base64.RawURLEncoding.EncodeToString
		raw := encode([]byte(header)) + ".e30.AA"
		parsed, err := jws.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(encode([]byte(want))+"..AA", compactForm(raw, &parsed.Header)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", header, diff)
		}
	}
}

// Each field that go-oidc decodes is kept: a new field there must be added.
func TestCompactFormHasWhatGoOIDCReads(t *testing.T) {
	const everything = `"nbf":1,"nonce":"n","at_hash":"h","_claim_names":{"a":"s"},"_claim_sources":{"s":{"endpoint":"e"}}`
	var c parsedClaims
	if refused := c.read(`{` + required + `,` + everything + `}`); refused != nil {
		t.Fatal(refused)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(c.forOIDC.payload(), &got); err != nil {
		t.Fatal(err)
	}
	want := []string{"_claim_names", "_claim_sources", "at_hash", "aud", "exp", "iat", "iss", "nbf", "nonce", "sub"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

// oidcVerdict returns go-oidc's verdict on one form of a token with a good signature.
func oidcVerdict(a *unverifiedToken, presented string, payload []byte) (*oidc.IDToken, error) {
	one := *a
	one.Context, one.signingKey, one.presented, one.payload = context.Background(), new(keyset.Key), presented, payload
	return one.idVerifier.Verify(&one, presented)
}

// For every token that passes our own checks, go-oidc gives the same verdict on the
// compact form and on the token.
func FuzzCompactForm(f *testing.F) {
	v := newTestVerifier(&Config{
		Algorithms: []string{"RS256", "ES256"}, Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api", "other"}, CacheSize: NoCache,
	})
	const header = `{"alg":"RS256","typ":"JWT","kid":"k"}`
	for _, more := range []string{
		"", `,"nbf":5`, `,"nbf":"5"`, `,"nbf":1e3`, `,"nbf":null`, `,"x":[1,{"y":null}]`, `,"_claim_names":{}`, `,"_claim_names":5`, `,"_claim_names":null`,
		`,"_claim_names":{"a":""}`, `,"_claim_names":{"a":"b"}`, `,"_claim_names":{"a":"b"},"_claim_sources":{"b":{"endpoint":"https://leak.example.com/"}}`,
		`,"_claim_sources":[]`, `,"_claim_sources":{"b":{"endpoint":5}}`, `,"_claim_sources":{"b":{"ENDPOINT":5}}`, `,"x":"\ud800"`, `,"\ud800":1`,
		`,"x":1e999`, `,"":0`, `,"Nonce ":"x"`, `,"Iss\u0000":"x"`, `,"ISS2":"x"`, `,"é":"x"`,
	} {
		f.Add(header, `{`+required+more+`}`)
	}
	for _, payload := range []string{
		`{"iss":"https:\/\/a.example.com/","sub":"\ud800","aud":["x","api"],"iat":0.5,"exp":253402300799.9}`,
		`{"iss":"https://a.example.com/","sub":"s","aud":["other","api","api"],"iat":1.0e3,"exp":20E2}`,
		`{"iss":"https://a.example.com/","sub":"s","aud":"api","iat":1000.9999999999999999,"exp":2000.000000000000001}`,
	} {
		f.Add(header, payload)
	}
	for _, header := range []string{
		`{"alg":"ES256","kid":"k"}`, `{"alg":"RS256","kid":"k","jwk":{}}`, `{"alg":"RS256","kid":"k","jwk":{"kty":"oct","k":"AA"}}`, `{"alg":"RS256","kid":"k","jwk":5}`,
		`{"alg":"RS256","kid":"k","x5c":["AA"]}`, `{"alg":"RS256","kid":"k","nonce":5}`, `{"alg":"RS256","kid":"k","ALG":"none"}`, `{"alg":"RS256","kid":"k","KID":5}`,
		` {"alg":"RS256","kid":"k","x":[[]]} `, `{"kid":"\ud800","typ":"application\/JWT","alg":"R\u00532\u00356"}`, `{"alg":"RS256","kid":"k","cty":5}`, `{"alg":"RS256","kid":"k","b64":true}`,
		`{"alg":"RS256","kid":"k","jwk":{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ"}}`, `{"alg":"RS256","kid":"k","x5c":5}`, `{"alg":"RS256","kid":"k","x5t#S256":"x"}`, `{"alg":"RS256","kid":"k","iss":1}`,
	} {
		f.Add(header, `{`+required+`}`)
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		encode := base64.RawURLEncoding.EncodeToString
		raw := encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode(make([]byte, 256))
		a := &unverifiedToken{raw: raw}
		if refused := v.precheck(a, time.Unix(1500, 0)); refused != nil {
			return
		}
		got, gotErr := oidcVerdict(a, compactForm(raw, &a.parsed.Header), a.forOIDC.payload())
		want, wantErr := oidcVerdict(a, raw, []byte(payload))
		if (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%s %s: %v of the compact form, %v of the token", header, payload, gotErr, wantErr)
		}
		if gotErr != nil {
			return
		}
		if got.Issuer != want.Issuer || got.Subject != want.Subject || !slices.Equal(got.Audience, want.Audience) ||
			!got.Expiry.Equal(want.Expiry) || !got.IssuedAt.Equal(want.IssuedAt) || got.Nonce != want.Nonce || got.AccessTokenHash != want.AccessTokenHash {
			t.Errorf("%s %s: %+v of the compact form, %+v of the token", header, payload, got, want)
		}
		if !a.claims.agree(got) {
			t.Errorf("%s %s: go-oidc reads %+v, we read %+v", header, payload, got, a.claims)
		}
	})
}

// A token that go-oidc reads in another way is refused.
func TestDisagreementIsRefused(t *testing.T) {
	read := func() *claims {
		c, refused := parseClaims(`{` + required + `}`)
		if refused != nil {
			t.Fatal(refused)
		}
		return c.claims
	}
	token := &oidc.IDToken{Issuer: "https://a.example.com/", Subject: "s", Audience: []string{"api"}, Expiry: time.Unix(2000, 0), IssuedAt: time.Unix(1000, 0)}
	if !read().agree(token) {
		t.Error("the same claims do not agree")
	}
	for name, change := range map[string]func(*oidc.IDToken){
		"issuer":   func(o *oidc.IDToken) { o.Issuer = "x" },
		"subject":  func(o *oidc.IDToken) { o.Subject = "x" },
		"audience": func(o *oidc.IDToken) { o.Audience = []string{"api", "x"} },
		"expiry":   func(o *oidc.IDToken) { o.Expiry = time.Unix(2001, 0) },
		"iat":      func(o *oidc.IDToken) { o.IssuedAt = time.Unix(1001, 0) },
	} {
		other := *token
		change(&other)
		if read().agree(&other) {
			t.Errorf("another %s agrees", name)
		}
	}
	// No token is known that the two read differently, so the claims are changed after
	// they were read.
	v := newTestVerifier(&Config{Algorithms: []string{"ES256"}, Issuers: []string{token.Issuer}, Audiences: token.Audience, CacheSize: NoCache})
	raw, key := signES256(t, `{"alg":"ES256","kid":"k"}`, `{`+required+`}`)
	for subject, want := range map[string]*refusal{"s": nil, "x": refusedClaims} {
		a := &unverifiedToken{raw: raw}
		if refused := v.precheck(a, time.Unix(1500, 0)); refused != nil {
			t.Fatal(refused)
		}
		a.claims.subject = subject
		if refused := v.checkSignature(t.Context(), a, []*keyset.Key{{ID: "k", Public: key}}); refused != want {
			t.Errorf("read with the subject %s: %v, want %v", subject, refused, want)
		}
	}
}

// Only a token that was verified makes its header known, so strangers cannot fill the list.
func TestHeadersOfVerifiedTokens(t *testing.T) {
	v := newTestVerifier(&Config{Algorithms: []string{"ES256"}, Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api"}, CacheSize: NoCache})
	raw, key := signES256(t, `{"alg":"ES256","kid":"k"}`, `{`+required+`}`)
	_, other := signES256(t, `{}`, `{}`)
	for _, step := range []struct {
		key     *ecdsa.PublicKey
		subject string // as this package reads it
		want    *refusal
	}{{other, "s", refusedSignature}, {key, "x", refusedClaims}, {key, "s", nil}, {other, "s", refusedSignature}, {key, "x", refusedClaims}, {key, "s", nil}} {
		a := newUnverifiedToken(raw, v.headers.Find(raw))
		if refused := v.precheck(a, time.Unix(1500, 0)); refused != nil {
			t.Fatal(refused)
		}
		a.claims.subject = step.subject
		known := a.knownHeader != nil
		if refused := v.checkSignature(t.Context(), a, []*keyset.Key{{ID: "k", Public: step.key}}); refused != step.want {
			t.Errorf("%v, want %v", refused, step.want)
		}
		if got, want := v.headers.Find(raw) != nil, known || step.want == nil; got != want {
			t.Errorf("after %v: header known %t, want %t", step.want, got, want)
		}
	}
}

// signES256 returns a token and the key that verifies it.
func signES256(t *testing.T, header, payload string) (raw string, key *ecdsa.PublicKey) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(header)) + "." + encode([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + encode(signature), &private.PublicKey
}
