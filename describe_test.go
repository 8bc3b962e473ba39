package auth0grpc_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// With DescribeRefused the Decision of a refused call has its peer, and the client and
// the audience of a token that is not verified: on every transport, in every shape and
// from the tap. Nothing else of the token is in it.
func TestDescribeRefused(t *testing.T) {
	f := newFixture(t, recordDecisions, func(_ *fixture, config *auth0grpc.Config) {
		config.DescribeRefused = true
	})
	tapped := grpc.NewServer(append(f.guard.ServerOptions(), grpc.InTapHandle(f.guard.TapHandle()))...)
	testgrpc.RegisterTestServiceServer(tapped, service{})
	f.conns["tapped"] = auth0grpctest.Connect(t, tapped, "")
	for _, test := range []struct {
		name             string
		value            []string
		client, audience string
		verified         bool
	}{
		{"no token", nil, "", "", false},
		{"not a token", bearer("leak"), "", "", false},
		{"two values", append(bearer(f.token(nil)), bearer(f.token(nil))...), "", "", false},
		{"expired", bearer(f.token(claims{"exp": today})), auth0grpctest.ClientID, auth0grpctest.Audience, false},
		{"audience", bearer(f.token(claims{"aud": []string{"other", "another"}})), auth0grpctest.ClientID, "other another", false},
		{"RFC 9068 profile", bearer(f.token(claims{"azp": nil, "client_id": "cli", "aud": "other"})), "cli", "other", false},
		{"DPoP", []string{"DPoP " + f.token(nil)}, auth0grpctest.ClientID, auth0grpctest.Audience, false},
		{"signature", bearer(forge(f.token(nil))), auth0grpctest.ClientID, auth0grpctest.Audience, false},
		{
			"long and unprintable", bearer(f.token(claims{"azp": "a\n\x1b\"é" + strings.Repeat("b", 200), "aud": 5})),
			"a??\"??" + strings.Repeat("b", 122) + "...", "", false,
		},
		{"not valid JSON", bearer(f.tenant.SignRaw(`{"alg":"RS256"}`, `{"azp":"a","azp":"b"}`)), "", "", false},
		{"scope", bearer(f.token(claims{"scope": "leak"})), "", "", true},
		{"good", bearer(f.token(nil)), "", "", true},
	} {
		for transport := range f.conns {
			for _, m := range shapes {
				t.Run(test.name+"/"+transport+m.name, func(t *testing.T) {
					got := f.call(t.Context(), transport, m, test.value...)
					n := 1
					if got.err == nil && m.name != unaryCall {
						n = 2 // and the end of the stream
					}
					d := f.decisions.wait(t, n)[0]
					if d.UnverifiedClientID != test.client || d.UnverifiedAudience != test.audience || (d.Issuer != "") != test.verified {
						t.Errorf("unverified client %q, audience %q in %+v, want %q, %q", d.UnverifiedClientID, d.UnverifiedAudience, d, test.client, test.audience)
					}
					checkPeer(t, transport, d, got.err)
					checkQuiet(t, fmt.Sprintf("%+v", d), test.value)
				})
			}
		}
	}
}

func checkPeer(t *testing.T, transport string, d auth0grpc.Decision, err error) {
	t.Helper()
	switch _, parseErr := netip.ParseAddrPort(d.Peer); {
	case status.Code(err) == codes.OK:
		if d.Peer != "" {
			t.Errorf("peer %q of a call that passed", d.Peer)
		}
	case transport == "tcp" || transport == "ServeHTTP":
		if parseErr != nil {
			t.Errorf("peer %q, want an address", d.Peer)
		}
	case d.Peer == "":
		t.Error("no peer")
	}
}

// A call of Check has no metadata; its Request names the caller.
func TestDescribeRefusedByCheck(t *testing.T) {
	var r recorder
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	config.OnDecision, config.DescribeRefused = r.OnDecision, true
	request := auth0grpc.Request{FullMethod: unaryCall, Authorization: bearer(tenant.Token(claims{"exp": today}))}
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer leak"))
	if _, err := mustNew(t, config).Check(ctx, request); err == nil {
		t.Fatal("an expired token passes")
	}
	if d := r.wait(t, 1)[0]; d.UnverifiedClientID != auth0grpctest.ClientID || d.UnverifiedAudience != auth0grpctest.Audience {
		t.Errorf("%+v", d)
	}
}

// Without the option no Decision names a peer or an unverified claim.
func TestDescribeRefusedIsOff(t *testing.T) {
	f := newFixture(t, recorded)
	f.call(t.Context(), "tcp", shapes[0], bearer(f.token(claims{"exp": today}))...)
	if d := f.decisions.wait(t, 1)[0]; d.Peer+d.UnverifiedClientID+d.UnverifiedAudience != "" {
		t.Errorf("%+v", d)
	}
}
