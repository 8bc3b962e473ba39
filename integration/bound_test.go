package integration

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// A presentation is one way to present a token, with its outcome.
type presentation struct{ token, how, verdict string }

// bound gets tokens bound to a DPoP key and to a certificate, and presents them in
// several ways.
func (s *server) bound(t *testing.T, p *provider) []presentation {
	t.Helper()
	return append(s.boundByDPoP(t, p), s.boundByCertificate(t, p)...)
}

func machineForm() url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "audience": {tenant.Audience}, "scope": {"read:orders"}}
}

func (s *server) boundByDPoP(t *testing.T, p *provider) []presentation {
	t.Helper()
	key, other := auth0grpctest.NewDPoPKey(), auth0grpctest.NewDPoPKey()
	tokenURL := p.issuer + "oauth/token"
	proof := key.Proof(tokenURL, "", map[string]any{"htm": http.MethodPost})
	g := post(t, s.httpClient(), tokenURL, "machine-dpop", machineForm(), http.Header{"Dpop": {proof}})
	if g.TokenType != "DPoP" {
		t.Fatalf("token_type %q, want DPoP: %s %s", g.TokenType, g.Error, g.Description)
	}
	here := "https://" + s.address + ordersv1.Orders_GetOrder_FullMethodName
	elsewhere := "https://" + s.address + ordersv1.Orders_CreateOrder_FullMethodName
	used := key.Proof(here, g.AccessToken, nil)
	var outcomes []presentation
	for _, way := range []struct{ how, scheme, proof, want string }{
		{"with a proof", "DPoP", used, "yes"},
		{"with the same proof again", "DPoP", used, "401 DPOP_PROOF_REPLAYED"},
		{"with a proof for another method", "DPoP", key.Proof(elsewhere, g.AccessToken, nil), "401 INVALID_DPOP_PROOF"},
		{"with a proof of another key", "DPoP", other.Proof(here, g.AccessToken, nil), "401 INVALID_DPOP_PROOF"},
		{"without a proof", "DPoP", "", "401 MISSING_DPOP_PROOF"},
		{"as a bearer token", "Bearer", "", "401 BOUND_TOKEN"},
	} {
		got := s.getOrder(t, way.scheme, g.AccessToken, way.proof)
		if got != way.want {
			t.Errorf("DPoP, %s: %s, want %s", way.how, got, way.want)
		}
		outcomes = append(outcomes, presentation{"DPoP", way.how, got})
	}
	return outcomes
}

func (s *server) boundByCertificate(t *testing.T, p *provider) []presentation {
	t.Helper()
	own, other := s.client(t, "machine-mtls"), s.client(t, "somebody")
	client := s.httpClient()
	client.Transport.(*http.Transport).TLSClientConfig = s.trusting(own)
	g := post(t, client, p.issuer+"oauth/token", "machine-mtls", machineForm(), nil)
	if g.AccessToken == "" {
		t.Fatalf("no token bound to a certificate: %s %s", g.Error, g.Description)
	}
	var outcomes []presentation
	for _, way := range []struct {
		how, want    string
		certificates []tls.Certificate
	}{
		{"over a connection with its certificate", "yes", []tls.Certificate{own}},
		{"over a connection with another certificate", "401 WRONG_CERTIFICATE", []tls.Certificate{other}},
		{"over a connection without one", "401 WRONG_CERTIFICATE", nil},
	} {
		got := s.getOrder(t, "Bearer", g.AccessToken, "", way.certificates...)
		if got != way.want {
			t.Errorf("certificate, %s: %s, want %s", way.how, got, way.want)
		}
		outcomes = append(outcomes, presentation{"certificate", way.how, got})
	}
	return outcomes
}

// getOrder calls GetOrder and returns the verdict.
func (s *server) getOrder(t *testing.T, scheme, token, proof string, certificates ...tls.Certificate) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", scheme+" "+token)
	if proof != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "dpop", proof)
	}
	_, err := ordersv1.NewOrdersClient(s.dial(t, certificates...)).GetOrder(ctx, &ordersv1.GetOrderRequest{Id: "1"})
	return verdictOf(err)
}
