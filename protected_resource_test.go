package auth0grpc_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

func TestResourceMetadataURL(t *testing.T) {
	for resource, want := range map[string]string{
		"https://h":       "https://h/.well-known/oauth-protected-resource",
		"https://h/":      "https://h/.well-known/oauth-protected-resource",
		"https://h:8/a":   "https://h:8/.well-known/oauth-protected-resource/a",
		"https://h/a/b":   "https://h/.well-known/oauth-protected-resource/a/b",
		"https://h/a?b=c": "https://h/.well-known/oauth-protected-resource/a?b=c",
		"http://[::1]:8":  "http://[::1]:8/.well-known/oauth-protected-resource",
		"":                "", "http://h": "", "urn:orders": "", "https://h/#a": "", `https://h/"`: "", "https://u:p@h": "", "https://h/ä": "",
	} {
		if got := auth0grpc.ResourceMetadataURL(resource); got != want {
			t.Errorf("%q: %q, want %q", resource, got, want)
		}
	}
}

func TestResourceFaults(t *testing.T) {
	tenant, now := newTenant(t)
	for _, resource := range []string{"http://h", "orders", "https://h/#a", `https://h/"x`} {
		config := configFor(tenant, now)
		config.Resource = resource
		_, err := auth0grpc.New(config)
		var fault *auth0grpc.ConfigError
		if !errors.As(err, &fault) || fault.Field != "Resource" {
			t.Errorf("%q: %v", resource, err)
		}
	}
}

func TestResourceMetadata(t *testing.T) {
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.Resource = "https://rpc.example.com"
	config.DPoP = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingRequired, Authorities: []string{authority}}
	config.MTLS.Mode = auth0grpc.BindingAllowed
	guard := mustNew(t, config)
	want := auth0grpc.ResourceMetadata{
		Resource: config.Resource, AuthorizationServers: []string{tenant.Issuer()}, Scopes: []string{"read:orders"}, BearerMethods: []string{"header"},
		DPoPAlgorithms: []string{"ES256"}, DPoPRequired: true, CertificateBoundByMTLS: true,
	}
	if diff := cmp.Diff(want, auth0grpc.NewResourceMetadata(guard)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := guard.SetMethods(map[string]auth0grpc.Rule{allMethods: auth0grpc.Scopes("write:orders")}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"write:orders"}, auth0grpc.NewResourceMetadata(guard).Scopes); diff != "" {
		t.Errorf("scopes of the new table (-want +got):\n%s", diff)
	}
	for name, guard := range map[string]*auth0grpc.Interceptor{"none": mustNew(t, configFor(tenant, now)), "zero": new(auth0grpc.Interceptor)} {
		if diff := cmp.Diff(auth0grpc.ResourceMetadata{}, auth0grpc.NewResourceMetadata(guard)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Every challenge has the address, over every transport, and a refusal without a
// challenge gets none.
func TestChallengesNameTheMetadata(t *testing.T) {
	const parameter = `resource_metadata="https://rpc.example.com/.well-known/oauth-protected-resource"`
	f := newFixture(t, acceptDPoP, func(_ *fixture, config *auth0grpc.Config) { config.Resource = "https://rpc.example.com" })
	for name, test := range map[string]struct {
		authorization []string
		want          []string
	}{
		"none":  {nil, []string{"Bearer " + parameter, `DPoP algs="ES256", ` + parameter}},
		"scope": {bearer(f.token(claims{"scope": "other"})), []string{`Bearer error="insufficient_scope", scope="read:orders", ` + parameter, `DPoP algs="ES256", ` + parameter}},
	} {
		for transport := range f.conns {
			for _, m := range shapes {
				got := f.call(t.Context(), transport, m, test.authorization...)
				if diff := cmp.Diff(test.want, got.header.Get("www-authenticate")); diff != "" {
					t.Errorf("%s, %s%s (-want +got):\n%s", name, transport, m.name, diff)
				}
			}
		}
	}
	_, err := f.guard.Check(t.Context(), auth0grpc.Request{FullMethod: "/a.B/C", Authorization: bearer(f.tenant.Token(claims{"aud": auth0grpctest.Audience}))})
	if refusal := refusalOf(t, err); refusal == nil || refusal.Challenges() != nil {
		t.Errorf("unlisted: %v with the challenges %q", err, refusal.Challenges())
	}
}
