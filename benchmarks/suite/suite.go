// Package suite measures the cost of authentication for a gRPC call. It compares
// auth0grpc with other libraries for Go servers, on the same token, server and handler,
// in one process and one run. The benchmarks of this package (go test -bench) and
// cmd/report, which prints ratios, share the code.
//
// Nothing here leaves the machine: the issuer is an auth0grpctest tenant on a
// loopback address.
package suite

import (
	"context"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A Suite is the tenant, its tokens and the peers with their servers.
type Suite struct {
	tenant *auth0grpctest.Tenant
	good   map[string]map[int]string // tokens by algorithm and size
	pad    int                       // with claims(…, pad, …) a forged token is as long as a small good one
	ctx    context.Context
	closes []func() // run last to first
}

// New starts the tenant and mints the tokens. The caller must call Close.
func New() (*Suite, error) {
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		return nil, err
	}
	tenant.PublishES256()
	ctx, cancel := context.WithCancel(context.Background())
	s := &Suite{tenant: tenant, ctx: ctx, good: make(map[string]map[int]string)}
	s.closes = append(s.closes, tenant.Close, cancel)
	for _, alg := range Algorithms {
		s.good[alg] = map[int]string{Small: s.mint(alg, Small, ""), Large: s.mint(alg, Large, "")}
	}
	s.pad = 1
	s.pad = max(1, (Small-len(s.forge(nil)))*3/4+1)
	return s, nil
}

// Close stops everything that the Suite started.
func (s *Suite) Close() {
	for i := len(s.closes) - 1; i >= 0; i-- {
		s.closes[i]()
	}
	s.closes = nil
}

// Token returns the good token for an algorithm and a size.
func (s *Suite) Token(alg string, size int) string { return s.good[alg][size] }
