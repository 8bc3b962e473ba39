package corpus_test

import (
	"testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/internal/corpus"
)

// Check decides on each case as the corpus says. The tests of other modules compare
// their verdicts with the same corpus.
func TestCases(t *testing.T) {
	const method = "/orders.v1.Orders/GetOrder"
	m := corpus.NewMint(t)
	cases := m.Cases(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{m.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: m.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{method: auth0grpc.Authenticated()}, Now: m.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		_, err := guard.Check(t.Context(), auth0grpc.Request{FullMethod: method, Authorization: []string{c.Value}})
		if reason, _ := auth0grpc.ReasonFromError(err); string(reason) != c.Reason || (err == nil) != c.Good {
			t.Errorf("%s: %v, want %q", c.Name, err, c.Reason)
		}
	}
}
