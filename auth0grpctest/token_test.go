package auth0grpctest_test

import (
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestTokenShapes(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	tenant.SetNow(func() time.Time { return time.Unix(4_000_000_000, 0) })
	const iat = 4_000_000_000.0
	kid := keyIDs(t, tenant)[0]

	tests := []struct {
		name       string
		mint       func(map[string]any) string
		wantTyp    string
		want       map[string]any
		wantRandom []string // claims that differ from token to token
		audience   string
	}{
		{
			name: "access token", mint: tenant.Token, wantTyp: "JWT", audience: auth0grpctest.Audience,
			want: map[string]any{
				"aud": auth0grpctest.Audience, "azp": auth0grpctest.ClientID, "exp": iat + 86400,
			},
		},
		{
			name: "RFC 9068", mint: tenant.RFC9068Token, wantTyp: "at+jwt", audience: auth0grpctest.Audience,
			want: map[string]any{
				"aud": auth0grpctest.Audience, "client_id": auth0grpctest.ClientID, "exp": iat + 86400,
			},
			wantRandom: []string{"jti"},
		},
		{
			name: "ID token", mint: tenant.IDToken, wantTyp: "JWT", audience: auth0grpctest.ClientID,
			want:       map[string]any{"aud": auth0grpctest.ClientID, "exp": iat + 36000},
			wantRandom: []string{"nonce", "sid"},
		},
		{
			name: "logout token", mint: tenant.LogoutToken, wantTyp: "JWT", audience: auth0grpctest.ClientID,
			want: map[string]any{
				"aud": auth0grpctest.ClientID, "exp": iat + 120,
				"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			},
			wantRandom: []string{"jti", "sid"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header, claims := decode(t, test.mint(nil))
			wantHeader := map[string]any{"alg": "RS256", "typ": test.wantTyp, "kid": kid}
			if diff := cmp.Diff(wantHeader, header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			test.want["iss"], test.want["sub"], test.want["iat"] = tenant.Issuer(), auth0grpctest.Subject, iat
			random := cmpopts.IgnoreMapEntries(func(name string, _ any) bool {
				for _, r := range test.wantRandom {
					if name == r {
						return true
					}
				}
				return false
			})
			if diff := cmp.Diff(test.want, claims, random); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			_, again := decode(t, test.mint(nil))
			for _, name := range test.wantRandom {
				if claims[name] == nil || claims[name] == again[name] {
					t.Errorf("%s: %v then %v, want two values", name, claims[name], again[name])
				}
			}
			if err := verify(t, tenant, test.mint(nil), oidc.Config{ClientID: test.audience}); err != nil {
				t.Errorf("go-oidc: %v", err)
			}

			_, claims = decode(t, test.mint(map[string]any{"sub": "auth0|other", "aud": nil, "more": []int{1}}))
			if _, ok := claims["aud"]; ok || claims["sub"] != "auth0|other" || !cmp.Equal(claims["more"], any([]any{1.0})) {
				t.Errorf("overrides were not applied: %v", claims)
			}
		})
	}
}

func TestTimesBecomeNumericDates(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	_, claims := decode(t, tenant.Token(map[string]any{"exp": time.Unix(1234, 567), "nbf": 1.5}))
	if claims["exp"] != 1234.0 || claims["nbf"] != 1.5 {
		t.Errorf("exp %v, nbf %v, want 1234 and 1.5", claims["exp"], claims["nbf"])
	}
}

func TestArgumentsAreNotChanged(t *testing.T) {
	t.Parallel()
	tenant := auth0grpctest.NewTenant(t)
	claims := map[string]any{"sub": nil, "exp": time.Unix(1, 0)}
	tenant.Token(claims)
	if diff := cmp.Diff(map[string]any{"sub": nil, "exp": time.Unix(1, 0)}, claims); diff != "" {
		t.Errorf("claims (-before +after):\n%s", diff)
	}
}

func TestTokensOfOneTenantFailAtAnother(t *testing.T) {
	t.Parallel()
	one, other := auth0grpctest.NewTenant(t), auth0grpctest.NewTenant(t)
	token := one.Token(map[string]any{"iss": other.Issuer()})
	if err := verify(t, other, token, oidc.Config{}); err == nil {
		t.Error("a tenant's keys verify a token that another signed")
	}
}
