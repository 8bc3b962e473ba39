package auth0grpctest_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

type messageService struct {
	testgrpc.UnimplementedTestServiceServer
}

func (messageService) UnaryCall(context.Context, *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{}, nil
}

// Sweep sends a request for a record of another party, and finds a checker that says yes
// to it.
func TestSweepOfMessages(t *testing.T) {
	for name, test := range map[string]struct {
		rule     auth0grpc.Rule
		allows   bool // the answer of the checker
		findings int
	}{
		"same":                   {auth0grpc.Scopes("a").Same("response_status.message", auth0grpc.ClaimOrganization), false, 0},
		"relation":               {auth0grpc.Scopes("a").Relation("viewer", "order:{response_status.message}/{response_size}"), false, 0},
		"relation of everything": {auth0grpc.Scopes("a").Relation("viewer", "order:{response_status.message}"), true, 1},
		"report only":            {auth0grpc.Scopes("a").Same("response_status.message", auth0grpc.ClaimOrganization).ReportOnly(), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tenant := auth0grpctest.NewTenant(t)
			guard, err := auth0grpc.New(auth0grpc.Config{
				Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
				Methods: map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Scopes("b"), "/grpc.testing.TestService/UnaryCall": test.rule},
				RelationChecker: auth0grpc.RelationCheckerFunc(func(context.Context, auth0grpc.RelationQuery) (bool, error) {
					return test.allows, nil
				}),
			})
			if err != nil {
				t.Fatal(err)
			}
			server := grpc.NewServer(guard.ServerOptions()...)
			testgrpc.RegisterTestServiceServer(server, messageService{})
			recorder := &sweepRecorder{TB: t}
			auth0grpctest.Sweep(recorder, server, guard, tenant, nil)
			findings := recorder.errors
			if len(findings) != test.findings || slices.ContainsFunc(findings, func(finding string) bool {
				return !strings.Contains(finding, "for a record of another party: let through")
			}) {
				t.Errorf("findings %q, want %d", findings, test.findings)
			}
		})
	}
}
