package auth0grpcclient_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A proofGate checks proofs as a server does, with separate code.
type proofGate struct {
	authority string
	nonce     string // required unless it is ""
	inHeader  bool   // the nonce goes out as a header, else as a trailer

	mu   sync.Mutex
	seen []string // the jti of each proof that passed
}

func (p *proofGate) decide(ctx context.Context, md metadata.MD, method string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nonce != "" {
		if p.inHeader {
			_ = grpc.SetHeader(ctx, metadata.Pairs("dpop-nonce", p.nonce))
		} else {
			_ = grpc.SetTrailer(ctx, metadata.Pairs("dpop-nonce", p.nonce))
		}
	}
	authorization, proofs := md.Get("authorization"), md.Get("dpop")
	if len(authorization) != 1 || len(proofs) != 1 || !strings.HasPrefix(authorization[0], "DPoP ") {
		return status.Errorf(codes.InvalidArgument, "%q, %q", authorization, proofs)
	}
	token := strings.TrimPrefix(authorization[0], "DPoP ")
	claims, thumbprint, err := parseProof(proofs[0])
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || !strings.Contains(string(payload), `"cnf":{"jkt":"`+thumbprint+`"}`) {
		return status.Errorf(codes.InvalidArgument, "the token is bound to another key: %s", payload)
	}
	if p.nonce != "" && claims["nonce"] != p.nonce {
		return refuse("USE_DPOP_NONCE")
	}
	hash := sha256.Sum256([]byte(token))
	want := map[string]any{
		"htm": "POST",
		"htu": "https://" + p.authority + method,
		"ath": base64.RawURLEncoding.EncodeToString(hash[:]),
	}
	if p.nonce != "" {
		want["nonce"] = p.nonce
	}
	id, _ := claims["jti"].(string)
	iat, _ := claims["iat"].(float64)
	delete(claims, "jti")
	delete(claims, "iat")
	if diff := cmp.Diff(want, claims); diff != "" {
		return status.Errorf(codes.InvalidArgument, "claims (-want +got):\n%s", diff)
	}
	if id == "" || slices.Contains(p.seen, id) || time.Since(time.Unix(int64(iat), 0)).Abs() > time.Minute {
		return status.Errorf(codes.InvalidArgument, "jti %q, iat %v", id, iat)
	}
	p.seen = append(p.seen, id)
	return nil
}

func parseProof(proof string) (claims map[string]any, thumbprint string, err error) {
	signed, err := jose.ParseSignedCompact(proof, []jose.SignatureAlgorithm{jose.ES256, jose.ES384})
	if err != nil {
		return nil, "", err
	}
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders[jose.HeaderType] != "dpop+jwt" || header.JSONWebKey == nil || !header.JSONWebKey.IsPublic() {
		return nil, "", fmt.Errorf("header %v", header)
	}
	payload, err := signed.Verify(header.JSONWebKey)
	if err != nil {
		return nil, "", err
	}
	hash, err := header.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", err
	}
	return claims, base64.RawURLEncoding.EncodeToString(hash), json.Unmarshal(payload, &claims)
}

func TestDPoPCalls(t *testing.T) {
	t.Parallel()
	keyed := mustEC(t, elliptic.P256())
	tests := []struct {
		name          string
		config        func(*auth0grpcclient.Config)
		gate          *proofGate
		endpointNonce string
		wantRequests  int64
		wantCalls     int // of four; a nonce costs the first of them a second attempt
	}{
		{name: "own key", wantRequests: 1, wantCalls: 4},
		{name: "given key", config: func(c *auth0grpcclient.Config) { c.DPoPKey = mustEC(t, elliptic.P384()) }, wantRequests: 1, wantCalls: 4},
		{name: "configured authority", config: func(c *auth0grpcclient.Config) { c.Authority = "https://api.example.com" }, gate: &proofGate{authority: "api.example.com"}, wantRequests: 1, wantCalls: 4},
		{name: "nonce of the token endpoint", endpointNonce: "e1", wantRequests: 2, wantCalls: 4},
		{name: "nonce in the trailer", gate: &proofGate{nonce: "n1"}, wantRequests: 1, wantCalls: 5},
		{name: "nonce in the header", gate: &proofGate{nonce: "n1", inHeader: true}, wantRequests: 1, wantCalls: 5},
		{name: "both nonces and an assertion", config: func(c *auth0grpcclient.Config) { c.ClientID, c.ClientSecret, c.PrivateKey = "keyed", "", keyed }, gate: &proofGate{nonce: "n1"}, endpointNonce: "e1", wantRequests: 2, wantCalls: 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tenant, requests := newTenant(t)
			tenant.AddKeyClient("keyed", keyed.Public(), map[string][]string{auth0grpctest.Audience: nil})
			tenant.RequireDPoPNonce(test.endpointNonce)
			config := configFor(tenant)
			config.DPoP = true
			if test.config != nil {
				test.config(&config)
			}
			proofs := test.gate
			if proofs == nil {
				proofs = &proofGate{}
			}
			g := &gate{decide: proofs.decide}
			target, trust := serve(t, g.options()...)
			if proofs.authority == "" {
				proofs.authority = target
			}
			client := dial(t, target, append(newCredentials(t, config).DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))...)
			for _, shape := range []string{"unary", "server stream", "client stream", "bidi stream"} {
				if got, err := shapes[shape](t.Context(), client); got != "a" || err != nil {
					t.Errorf("%s: %q, %v", shape, got, err)
				}
			}
			if calls := len(g.values("dpop")); calls != test.wantCalls || requests.Load() != test.wantRequests {
				t.Errorf("%d calls and %d token requests, want %d and %d", calls, requests.Load(), test.wantCalls, test.wantRequests)
			}
		})
	}
}

// TestNonceOnStreams lets the first call of each shape learn the nonce, from the header
// and from the trailer.
func TestNonceOnStreams(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	config := configFor(tenant)
	config.DPoP = true
	for shape, call := range shapes {
		for _, inHeader := range []bool{true, false} {
			p := &proofGate{nonce: "n1", inHeader: inHeader}
			g := &gate{decide: p.decide}
			target, trust := serve(t, g.options()...)
			p.authority = target
			client := dial(t, target, append(newCredentials(t, config).DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))...)
			if got, err := call(t.Context(), client); got != "a" || err != nil {
				t.Errorf("%s: %q, %v", shape, got, err)
			}
			// The next nonce comes with a success and needs no extra attempt.
			p.mu.Lock()
			p.nonce = "n2"
			p.mu.Unlock()
			before := len(g.values("dpop"))
			if got, err := call(t.Context(), client); got != "a" || err != nil {
				t.Errorf("%s with a second nonce: %q, %v", shape, got, err)
			}
			if got, err := call(t.Context(), client); got != "a" || err != nil {
				t.Errorf("%s with the second nonce known: %q, %v", shape, got, err)
			}
			if n := len(g.values("dpop")) - before; n != 3 {
				t.Errorf("%s: %d attempts for two calls, want 3", shape, n)
			}
		}
	}
}

// A call that is refused for its token, and then for its nonce, is made a third time.
func TestTokenThenNonce(t *testing.T) {
	t.Parallel()
	for shape, call := range shapes {
		tenant, _ := newTenant(t)
		distinctTokens(tenant.SetNow)
		config := configFor(tenant)
		config.DPoP = true
		proofs := &proofGate{nonce: "n1"}
		revoked := ""
		g := &gate{decide: func(ctx context.Context, md metadata.MD, method string) error {
			token := md.Get("authorization")[0]
			if revoked == "" {
				revoked = token
			}
			if token == revoked {
				return refuse("TOKEN_REVOKED")
			}
			return proofs.decide(ctx, md, method)
		}}
		target, trust := serve(t, g.options()...)
		proofs.authority = target
		client := dial(t, target, append(newCredentials(t, config).DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))...)
		if got, err := call(t.Context(), client); got != "a" || err != nil {
			t.Errorf("%s: %q, %v", shape, got, err)
		}
		if attempts := len(g.values("dpop")); attempts != 3 {
			t.Errorf("%s: %d attempts, want 3", shape, attempts)
		}
	}
}

// TestNonceOnce shows that a server which wants a nonce and never takes one is
// asked twice and no more.
func TestNonceOnce(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	config := configFor(tenant)
	config.DPoP = true
	for _, nonce := range []string{"", "n1"} {
		g := &gate{decide: func(ctx context.Context, _ metadata.MD, _ string) error {
			if nonce != "" {
				_ = grpc.SetTrailer(ctx, metadata.Pairs("dpop-nonce", nonce))
			}
			return refuse("USE_DPOP_NONCE")
		}}
		_, err := shapes["unary"](t.Context(), connect(t, g, newCredentials(t, config)))
		wantCode(t, err, codes.Unauthenticated)
		want := 1 // no nonce, no second attempt
		if nonce != "" {
			want = 2
		}
		if n := len(g.values("dpop")); n != want {
			t.Errorf("nonce %q: %d attempts, want %d", nonce, n, want)
		}
	}
}

// TestNonceOfTheTokenEndpoint shows that the client repeats a token request at once only
// if a nonce was missing and the refusal has a new one.
func TestNonceOfTheTokenEndpoint(t *testing.T) {
	t.Parallel()
	const good = `{"access_token":"t","token_type":"DPoP","expires_in":86400}`
	const missing, refused = `{"error":"use_dpop_nonce"}`, `{"error":"access_denied"}`
	for name, test := range map[string]struct {
		code  int
		body  string
		nonce string
		want  int // requests
		ok    bool
	}{
		"a nonce is missing":                {400, missing, "n1", 2, true},
		"missing, and none is given":        {400, missing, "", 1, false},
		"another refusal beside a nonce":    {401, refused, "n1", 1, false},
		"another refusal without a nonce":   {401, refused, "", 1, false},
		"a token beside the next nonce":     {200, good, "n1", 1, true},
		"an unusable answer beside a nonce": {200, `{}`, "n1", 1, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			config := offline(func(*http.Request) (*http.Response, error) {
				if requests++; requests > 1 {
					return answer(200, good), nil
				}
				return answer(test.code, test.body, "DPoP-Nonce", test.nonce), nil
			})
			config.DPoP = true
			err := newCredentials(t, config).Ready(t.Context())
			if (err == nil) != test.ok || requests != test.want {
				t.Errorf("%s: %v after %d requests, want %d", name, err, requests, test.want)
			}
		})
	}
}

// TestUnboundAnswerIsRefused shows Auth0's silent fallback: for an API that is not set up
// for DPoP it issues a bearer token, although the request had a proof.
func TestUnboundAnswerIsRefused(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	tenant.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("DPoP")
			next.ServeHTTP(w, r)
		})
	})
	config := configFor(tenant)
	config.DPoP = true
	exchange, err := auth0grpcclient.NewOnBehalfOf(config, func(context.Context) (string, error) { return tenant.Token(nil), nil })
	if err != nil {
		t.Fatal(err)
	}
	for code, c := range map[codes.Code]*auth0grpcclient.Credentials{codes.Unauthenticated: newCredentials(t, config), codes.Internal: exchange} {
		g := &gate{}
		_, err := shapes["unary"](t.Context(), connect(t, g, c))
		wantCode(t, err, code)
		if len(g.values("authorization")) != 0 || !strings.Contains(fmt.Sprint(err), "unbound") {
			t.Errorf("%v", err)
		}
	}
}

func TestProofNeedsACall(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	config := configFor(tenant)
	config.DPoP, config.InsecureAllowPlaintext = true, true
	c := newCredentials(t, config)
	_, err := c.GetRequestMetadata(t.Context(), uri)
	wantCode(t, err, codes.Internal)
	_, err = c.GetRequestMetadata(secure(t.Context()))
	wantCode(t, err, codes.Internal)
}

// BenchmarkDPoPCall measures a call with a proof: an ES256 signature and little else.
func BenchmarkDPoPCall(b *testing.B) {
	config := offline(func(*http.Request) (*http.Response, error) {
		return answer(200, `{"access_token":"t","token_type":"DPoP","expires_in":86400}`), nil
	})
	config.DPoP = true
	c := newCredentials(b, config)
	ctx := secure(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.GetRequestMetadata(ctx, uri); err != nil {
			b.Fatal(err)
		}
	}
}
