package auth0grpcclient_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// TestCallsReachAGuardedServer is the whole way: from the token endpoint to a
// server behind package auth0grpc.
func TestCallsReachAGuardedServer(t *testing.T) {
	t.Parallel()
	tenant, requests := newTenant(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		HTTPClient: tenant.HTTPClient(),
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Scopes("read:msg")},
	})
	if err != nil {
		t.Fatal(err)
	}
	target, trust := serve(t, guard.ServerOptions()...)
	transport := grpc.WithTransportCredentials(credentials.NewTLS(trust))

	client := dial(t, target, append(newCredentials(t, configFor(tenant)).DialOptions(), transport)...)
	for name, call := range shapes {
		if got, err := call(t.Context(), client); got != "a" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if requests.Load() != 1 {
		t.Errorf("%d token requests, want 1", requests.Load())
	}

	narrow := configFor(tenant)
	narrow.Scopes = []string{"write:msg"}
	client = dial(t, target, append(newCredentials(t, narrow).DialOptions(), transport)...)
	for name, call := range shapes {
		_, err := call(t.Context(), client)
		if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonInsufficientScope {
			t.Errorf("%s without the scope: %v", name, err)
		}
	}
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	grants := map[string][]string{auth0grpctest.Audience: {"read:msg", "write:msg"}}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	certificate := auth0grpctest.NewCertificateAuthority().Client("service")
	certified := tenant.HTTPClientWithCertificate(certificate)
	t.Cleanup(certified.CloseIdleConnections)
	tenant.AddCertificateClient("certified", certificate.Leaf, grants)

	keyed := func(name string, key crypto.Signer) func(*auth0grpcclient.Config) {
		tenant.AddKeyClient(name, key.Public(), grants)
		return func(c *auth0grpcclient.Config) { c.ClientID, c.ClientSecret, c.PrivateKey = name, "", key }
	}
	tests := []struct {
		name string
		edit func(*auth0grpcclient.Config)
		want map[string]any // claims
	}{
		{name: "secret", edit: func(*auth0grpcclient.Config) {}, want: map[string]any{"azp": "service", "scope": "read:msg write:msg", "aud": auth0grpctest.Audience}},
		{name: "scopes", edit: func(c *auth0grpcclient.Config) { c.Scopes = []string{"write:msg", "read:msg"} }, want: map[string]any{"scope": "write:msg read:msg"}},
		{name: "organization", edit: func(c *auth0grpcclient.Config) { c.Organization = "org_1" }, want: map[string]any{"org_id": "org_1"}},
		{name: "RSA", edit: keyed("rsa", rsaKey), want: map[string]any{"azp": "rsa"}},
		{name: "P-256", edit: keyed("p256", mustEC(t, elliptic.P256())), want: map[string]any{"azp": "p256"}},
		{name: "P-384", edit: keyed("p384", mustEC(t, elliptic.P384())), want: map[string]any{"azp": "p384"}},
		{name: "certificate", edit: func(c *auth0grpcclient.Config) {
			c.ClientID, c.ClientSecret, c.MutualTLS, c.HTTPClient = "certified", "", true, certified
		}, want: map[string]any{"azp": "certified", "cnf": map[string]any{"x5t#S256": auth0grpctest.CertificateThumbprint(certificate.Leaf)}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := configFor(tenant)
			test.edit(&config)
			value, err := authorization(t.Context(), newCredentials(t, config))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(value, "Bearer ") {
				t.Errorf("scheme of %q, want Bearer", value)
			}
			claims := claimsOf(t, value)
			for name, want := range test.want {
				if diff := cmp.Diff(want, claims[name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

// TestCertificateBoundCalls shows that a bound token arrives over a connection
// of the same certificate, as RFC 8705 wants it.
func TestCertificateBoundCalls(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	certificate := auth0grpctest.NewCertificateAuthority().Client("service")
	tenant.AddCertificateClient("certified", certificate.Leaf, map[string][]string{auth0grpctest.Audience: nil})
	config := configFor(tenant)
	config.ClientID, config.ClientSecret, config.MutualTLS = "certified", "", true
	config.HTTPClient = tenant.HTTPClientWithCertificate(certificate)
	t.Cleanup(config.HTTPClient.CloseIdleConnections)

	g := &gate{decide: func(ctx context.Context, md metadata.MD, _ string) error {
		presented := peerCertificate(ctx)
		bound, _ := claimsOf(t, md.Get("authorization")[0])["cnf"].(map[string]any)
		if presented == nil || bound["x5t#S256"] != auth0grpctest.CertificateThumbprint(presented) {
			return refuse("BOUND_TOKEN")
		}
		return nil
	}}
	target, trust := serve(t, g.options()...)
	trust.Certificates = append(trust.Certificates, certificate)
	client := dial(t, target, append(newCredentials(t, config).DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))...)
	for name, call := range shapes {
		if got, err := call(t.Context(), client); got != "a" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestPlaintextIsRefused(t *testing.T) {
	t.Parallel()
	tenant, requests := newTenant(t)
	c := newCredentials(t, configFor(tenant))
	if _, err := grpc.NewClient("passthrough:///x", append(c.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...); err == nil {
		t.Error("gRPC took the credentials for a plaintext connection")
	}
	for name, ctx := range map[string]context.Context{
		"no connection": t.Context(),
		"plaintext": credentials.NewContextWithRequestInfo(t.Context(), credentials.RequestInfo{
			Method: "/a.B/C", AuthInfo: plaintextInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}},
		}),
	} {
		md, err := c.GetRequestMetadata(ctx, uri)
		if md != nil {
			t.Errorf("%s: the token was handed out", name)
		}
		wantCode(t, err, codes.Unauthenticated)
	}
	if requests.Load() != 0 {
		t.Error("a token was fetched for a connection that cannot have it")
	}
}

type plaintextInfo struct{ credentials.CommonAuthInfo }

func (plaintextInfo) AuthType() string { return "plaintext" }

func TestPlaintextOnRequest(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	config := configFor(tenant)
	config.InsecureAllowPlaintext = true
	g := &gate{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	start(t, listener, g.options()...)
	client := dial(t, listener.Addr().String(), append(newCredentials(t, config).DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	for name, call := range shapes {
		if got, err := call(t.Context(), client); got != "a" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestForwardingIsRefused(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	g := &gate{}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "Authorization", "Bearer of-a-caller")
	client := connect(t, g, newCredentials(t, configFor(tenant)))
	for name, call := range shapes {
		_, err := call(ctx, client)
		wantCode(t, err, codes.Unauthenticated)
		if err != nil && !strings.Contains(err.Error(), "not forwarded") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := g.values("authorization"); len(got) != 0 {
		t.Errorf("calls went out with %q", got)
	}

	config := configFor(tenant)
	config.InsecureForwardAuthorization = true
	client = connect(t, g, newCredentials(t, config))
	if _, err := shapes["unary"](ctx, client); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"Bearer of-a-caller"}, g.values("authorization")); diff != "" {
		t.Errorf("authorization (-want +got):\n%s", diff)
	}
}

func TestTokenTroubleEndsTheCall(t *testing.T) {
	t.Parallel()
	tenant, _ := newTenant(t)
	g := &gate{}
	config := configFor(tenant)
	config.ClientSecret = "wr0ng"
	client := connect(t, g, newCredentials(t, config))
	for name, call := range shapes {
		_, err := call(t.Context(), client)
		wantCode(t, err, codes.Unauthenticated)
		if err == nil || !strings.Contains(err.Error(), "access_denied") || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("%s: %v", name, err)
		}
		var failure *auth0grpcclient.TokenError
		if !errors.As(err, &failure) || failure.HTTPStatus != 401 {
			t.Errorf("%s: %T, want a *TokenError", name, err)
		}
	}
	if len(g.values("authorization")) != 0 {
		t.Error("a call went out without a token")
	}
}

// warm are credentials that have a token for longer than any benchmark runs.
func warm(b *testing.B, edit func(*auth0grpcclient.Config)) *auth0grpcclient.Credentials {
	f := &fake{}
	config := offline(f.roundTrip)
	edit(&config)
	c := newCredentials(b, config)
	if err := c.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkWarmToken: at most 300 ns and 3 allocations a call.
func BenchmarkWarmToken(b *testing.B) {
	c := warm(b, func(*auth0grpcclient.Config) {})
	ctx := secure(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.GetRequestMetadata(ctx, uri); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWarmCall measures the full cost for a call: interceptor and credentials.
func BenchmarkWarmCall(b *testing.B) {
	c := warm(b, func(*auth0grpcclient.Config) {})
	ctx := secure(b.Context())
	intercept := c.UnaryClientInterceptor()
	invoke := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		_, err := c.GetRequestMetadata(ctx, uri)
		return err
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := intercept(ctx, "/a.B/C", nil, nil, nil, invoke); err != nil {
			b.Fatal(err)
		}
	}
}

func TestWarmTokenAllocations(t *testing.T) {
	f := &fake{}
	c := newCredentials(t, offline(f.roundTrip))
	ctx := secure(t.Context())
	if _, err := c.GetRequestMetadata(ctx, uri); err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(100, func() { _, _ = c.GetRequestMetadata(ctx, uri) })
	if allocs > 3 {
		t.Errorf("%v allocations a call, want at most 3", allocs)
	}
}
