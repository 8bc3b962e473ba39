package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const wantCalls = `CALL         BY                                      STATUS           REASON
GetOrder     Bearer client                           OK               -
CreateOrder  Bearer client                           Unauthenticated  DPOP_REQUIRED
CreateOrder  DPoP client                             OK               -
ListOrders   DPoP client                             OK               -
DeleteOrder  DPoP client                             Unauthenticated  TOKEN_NOT_BOUND
GetOrder     mTLS client                             OK               -
ListOrders   mTLS client                             OK               -
DeleteOrder  mTLS client                             OK               -
CreateOrder  mTLS client                             Unauthenticated  DPOP_REQUIRED
GetOrder     thief, DPoP token as Bearer             Unauthenticated  BOUND_TOKEN
GetOrder     thief, DPoP token alone                 Unauthenticated  MISSING_DPOP_PROOF
GetOrder     thief, proof again                      Unauthenticated  DPOP_PROOF_REPLAYED
ListOrders   thief, proof of GetOrder                Unauthenticated  INVALID_DPOP_PROOF
GetOrder     thief, proof of the thief's             Unauthenticated  INVALID_DPOP_PROOF
GetOrder     DPoP client, proof without nonce        Unauthenticated  USE_DPOP_NONCE
GetOrder     thief, mTLS token                       Unauthenticated  WRONG_CERTIFICATE
GetOrder     thief, mTLS token, another certificate  Unauthenticated  WRONG_CERTIFICATE
ListOrders   mTLS client behind the proxy            OK               -
ListOrders   client without certificate behind it    Unauthenticated  WRONG_CERTIFICATE
ListOrders   thief who writes the proxy's header     Unauthenticated  WRONG_CERTIFICATE

20 of 20 calls ended as announced.
`

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out); err != nil {
		t.Fatalf("run: %v\n%s", err, out.String())
	}
	_, calls, _ := strings.Cut(out.String(), "CALL ")
	if diff := cmp.Diff(wantCalls, "CALL "+calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

func TestMakeCallsCountsDifferences(t *testing.T) {
	ends := func(err error) func(context.Context, *grpc.ClientConn) error {
		return func(context.Context, *grpc.ClientConn) error { return err }
	}
	calls := []call{
		{method: "as announced", send: ends(nil)},
		{method: "passed", send: ends(nil), code: codes.Unauthenticated, reason: auth0grpc.ReasonBoundToken},
		{method: "refused", send: ends(errors.New("no connection"))},
	}
	var out bytes.Buffer
	if got, want := makeCalls(t.Context(), &out, calls), 2; got != want {
		t.Errorf("makeCalls counted %d differences, want %d:\n%s", got, want, out.String())
	}
}

// The permitted writers of the header, and its valid values.
func TestCertificateBehind(t *testing.T) {
	authority := auth0grpctest.NewCertificateAuthority()
	proxy, other, client := authority.Client("envoy").Leaf, authority.Client("other").Leaf, authority.Client("client").Leaf
	verified := func(leaf *x509.Certificate) credentials.AuthInfo {
		return credentials.TLSInfo{State: tls.ConnectionState{
			PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}},
		}}
	}
	unverified := credentials.TLSInfo{State: tls.ConnectionState{PeerCertificates: []*x509.Certificate{proxy}}}
	good := forwarded(client)
	for _, test := range []struct {
		name   string
		peer   credentials.AuthInfo
		values []string
		want   *x509.Certificate
		failed bool
	}{
		{"by the proxy", verified(proxy), []string{good}, client, false},
		{"by the proxy, as Envoy orders it", verified(proxy), []string{"By=spiffe://x/y;" + good}, client, false},
		{"by the proxy, without", verified(proxy), nil, nil, false},
		{"by another", verified(other), []string{good}, other, false},
		{"by who says to be the proxy", unverified, []string{good}, nil, false},
		{"without TLS", nil, []string{good}, nil, false},
		{"two values", verified(proxy), []string{good, good}, nil, true},
		{"two elements", verified(proxy), []string{good + "," + good}, nil, true},
		{"two certificates", verified(proxy), []string{good + ";" + good}, nil, true},
		{"with a subject", verified(proxy), []string{`Subject="CN=x";` + good}, nil, true},
		{"without a certificate", verified(proxy), []string{"Hash=x"}, nil, true},
		{"empty", verified(proxy), []string{""}, nil, true},
		{"not escaped well", verified(proxy), []string{"Cert=%zz"}, nil, true},
		{"not PEM", verified(proxy), []string{"Cert=x"}, nil, true},
		{"not a certificate", verified(proxy), []string{"Cert=" + url.PathEscape("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{xfcc: test.values})
			ctx = peer.NewContext(ctx, &peer.Peer{AuthInfo: test.peer})
			got, err := certificateBehind("envoy")(ctx)
			if !got.Equal(test.want) || (err != nil) != test.failed {
				t.Errorf("%v, %v; want %v", got, err, test.want)
			}
		})
	}
	if got, err := certificateBehind("envoy")(t.Context()); got != nil || err != nil {
		t.Errorf("no peer: %v, %v", got, err)
	}
}
