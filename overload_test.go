package auth0grpc_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// With too many calls waiting for a signature check, a new token is Unavailable
// and a known one passes. The same checks serve logout tokens.
func TestOverload(t *testing.T) {
	f := newFixture(t)
	known := f.token(nil)
	f.everywhere(t, passes, bearer(known)...)
	release := f.guard.FillSignatureGate()
	f.everywhere(t, passes, bearer(known)...)
	f.everywhere(t, overloaded, bearer(f.token(claims{"jti": "new"}))...)
	handler := f.guard.BackChannelLogout(auth0grpctest.ClientID)
	logout := f.tenant.LogoutToken(claims{"sub": "auth0|other"})
	if answer := postLogout(handler, logout); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("logout: %d, want 503", answer.Code)
	}
	release()
	f.everywhere(t, passes, bearer(f.token(claims{"jti": "new"}))...)
	if answer := postLogout(handler, logout); answer.Code != http.StatusOK {
		t.Errorf("logout: %d, want 200", answer.Code)
	}
}

// A flood of forged tokens does not reach the checks of DPoP proofs: a call with a
// known token passes. Nor do forged proofs of one client reach new tokens.
func TestProofsHaveTheirOwnGate(t *testing.T) {
	f := newFixture(t, acceptDPoP)
	known := f.bound
	f.inEveryShape(t, challenged{outcome: passes}, f.good, everyTransport...)
	release := f.guard.FillSignatureGate()
	f.inEveryShape(t, challenged{outcome: passes}, f.good, everyTransport...)
	f.bound = f.boundToken(claims{"jti": "new"})
	f.inEveryShape(t, challenged{outcome: overloaded}, f.good, everyTransport...)
	release()
	release = f.guard.FillProofGate()
	f.inEveryShape(t, challenged{outcome: overloaded}, f.good, everyTransport...)
	f.everywhere(t, passes, bearer(f.token(claims{"jti": "bearer"}))...)
	f.bound = known
	f.inEveryShape(t, challenged{outcome: overloaded}, f.good, everyTransport...)
	release()
	f.inEveryShape(t, challenged{outcome: passes}, f.good, everyTransport...)
}

// forgedTokens are tokens for this API under a published kid, each another one,
// with the signature of another token.
func forgedTokens(tenant *auth0grpctest.Tenant, count int) []string {
	parts := strings.Split(tenant.Token(nil), ".")
	forged := make([]string, count)
	for i := range forged {
		other := strings.Split(tenant.SignRaw(`{"alg":"none"}`, toJSON(claims{
			"iss": tenant.Issuer(), "sub": "auth0|x", "aud": auth0grpctest.Audience, "jti": fmt.Sprint(i),
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		})), ".")
		forged[i] = parts[0] + "." + other[1] + "." + parts[2]
	}
	return forged
}

// BenchmarkFlood measures one call while as many forged ones are in flight, and
// reports the time in signature checks.
func BenchmarkFlood(b *testing.B) {
	tenant := auth0grpctest.NewTenant(b)
	guard := mustNew(b, auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{allMethods: auth0grpc.Authenticated()},
	})
	intercept := guard.UnaryServerInterceptor()
	call := func(token string) error {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token))
		_, err := intercept(ctx, nil, &grpc.UnaryServerInfo{FullMethod: unaryCall}, func(context.Context, any) (any, error) { return nil, nil })
		return err
	}
	known := tenant.Token(nil)
	if err := call(known); err != nil {
		b.Fatal(err)
	}
	const checks = 200
	began := time.Now()
	for _, token := range forgedTokens(tenant, checks) {
		_ = call(token)
	}
	check := time.Since(began) / checks
	for _, count := range []int{0, 1000, 10_000, 40_000} {
		forged := forgedTokens(tenant, count)
		for _, kind := range []string{"known", "new"} {
			b.Run(fmt.Sprintf("%d forged/%s", count, kind), func(b *testing.B) {
				var took time.Duration
				passed := 0
				for i := range b.N {
					token := known
					if kind == "new" {
						token = tenant.Token(claims{"jti": fmt.Sprint("new", count, i, b.N)})
					}
					var flood sync.WaitGroup
					for _, bad := range forged {
						flood.Go(func() { _ = call(bad) })
					}
					began := time.Now()
					if err := call(token); err == nil {
						passed++
					}
					took += time.Since(began)
					flood.Wait()
				}
				b.ReportMetric(float64(took)/float64(b.N)/float64(check), "checks/call")
				b.ReportMetric(float64(passed)/float64(b.N), "passed/call")
			})
		}
	}
}
