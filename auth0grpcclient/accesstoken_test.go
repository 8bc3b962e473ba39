package auth0grpcclient_test

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// A refused token is replaced once, then the renewals are limited as for refused calls. A
// token that was replaced in the meantime is not fetched again.
func TestAccessToken(t *testing.T) {
	tenant, requests := newTenant(t)
	creds := newCredentials(t, configFor(tenant))
	first, err := creds.AccessToken(t.Context(), "")
	if err != nil || first == "" {
		t.Fatalf("AccessToken = %q, %v", first, err)
	}
	if again, err := creds.AccessToken(t.Context(), ""); again != first || err != nil {
		t.Errorf("a second call fetches another token, %v", err)
	}
	if other, err := creds.AccessToken(t.Context(), "an older token"); other != first || err != nil {
		t.Errorf("the refusal of an older token replaces this one, %v", err)
	}
	tenant.SetNow(func() time.Time { return time.Now().Add(time.Second) }) // a token of the same second is the same
	second, err := creds.AccessToken(t.Context(), first)
	if second == first || err != nil {
		t.Errorf("a refused token is not replaced, %v", err)
	}
	if third, err := creds.AccessToken(t.Context(), second); third != second || err != nil {
		t.Errorf("a second refusal within the pause fetches a token, %v", err)
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d token requests, want 2", n)
	}
}

func TestAccessTokenErrors(t *testing.T) {
	tenant, _ := newTenant(t)
	config := configFor(tenant)
	config.DPoP = true
	if _, err := newCredentials(t, config).AccessToken(t.Context(), ""); err == nil {
		t.Error("AccessToken returns a bound token")
	}
	config = configFor(tenant)
	config.ClientSecret = "guess"
	var failure *auth0grpcclient.TokenError
	if _, err := newCredentials(t, config).AccessToken(t.Context(), ""); !errors.As(err, &failure) {
		t.Errorf("AccessToken = %v, want a TokenError", err)
	}
	exchange, err := auth0grpcclient.NewOnBehalfOf(configFor(tenant), auth0grpcclient.IncomingToken)
	if err != nil {
		t.Fatal(err)
	}
	_, err = exchange.AccessToken(t.Context(), "")
	wantCode(t, err, codes.Internal) // the context belongs to no handler
}
