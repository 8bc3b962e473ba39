package auth0grpctest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"

	"github.com/auth0grpc/auth0grpc"
)

const (
	// sweepWorkers is how many calls a sweep makes at a time.
	sweepWorkers = 8
	// passLimit ends calls that are expected to pass the gate, and whose handlers
	// then wait for something. A refusal would have come by then.
	passLimit = time.Second
	// refusalLimit ends calls that are expected to be refused.
	refusalLimit = 10 * time.Second
)

// Sweep calls every method that is registered with srv, in its own shape, unary
// or streaming: without a token, with each kind of token that its row in the
// table of guard asks for, and with tokens that lack one of the scopes,
// permissions, organizations and clients in turn. It fails the test with a line
// for each call whose outcome is not that of the row, such as of a method that an
// interceptor was not installed for:
//
//	func TestGate(t *testing.T) {
//		tenant := auth0grpctest.NewTenant(t)
//		guard, server := newServer(tenant) // as in production, but for the tenant
//		auth0grpctest.Sweep(t, server, guard, tenant, nil)
//	}
//
// The tokens are those of [Tenant.Token] with claims laid over them: nil, or what
// the configuration of guard asks of every token, such as another "aud".
//
// The requests are empty messages, and those that pass reach the handlers, with
// whatever these do then: register ones that are safe to run. What a handler
// answers counts for nothing. One that does not answer is given up after a second,
// as passed.
//
// A row that is report-only has to let all calls pass; a Config that is
// report-only as a whole fails the sweep. A row that asks for bound tokens is
// called with bearer tokens alone, which have to be refused. A method without a
// row has to be refused, which is as it should be and hardly as it was meant: call
// Interceptor.CheckServices as well.
func Sweep(tb testing.TB, srv *grpc.Server, guard *auth0grpc.Interceptor, tenant *Tenant, claims map[string]any) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), refusalLimit)
	defer cancel()
	if err := guard.Ready(ctx); err != nil {
		tb.Fatalf("auth0grpctest: sweep: guard has no keys; is it of this tenant? %v", err)
	}
	s := &sweep{conn: Connect(tb, srv, ""), tenant: tenant, claims: claims}
	if !awaitReady(ctx, s.conn) {
		tb.Fatalf("auth0grpctest: sweep: the server does not serve")
	}
	probes, faults := tableProbes(srv.GetServiceInfo(), guard.Methods())
	for _, fault := range faults {
		tb.Errorf("auth0grpctest: sweep: %s", fault)
	}
	for _, fault := range s.run(probes) {
		if fault != "" {
			tb.Errorf("auth0grpctest: sweep: %s", fault)
		}
	}
}

// A sweep makes calls over one connection.
type sweep struct {
	conn   *grpc.ClientConn
	tenant *Tenant
	claims map[string]any
}

// run makes all calls and returns what is wrong with each, or "".
func (s *sweep) run(probes []probe) []string {
	faults := make([]string, len(probes))
	next := make(chan int)
	var workers sync.WaitGroup
	for range sweepWorkers {
		workers.Go(func() {
			for i := range next {
				faults[i] = s.probe(&probes[i])
			}
		})
	}
	for i := range probes {
		next <- i
	}
	close(next)
	workers.Wait()
	return faults
}

// tableProbes returns the calls to make, in the order of the methods' names, and
// the rows that no call can do justice to.
func tableProbes(services map[string]grpc.ServiceInfo, rows map[string]auth0grpc.Rule) (probes []probe, faults []string) {
	for _, service := range slices.Sorted(maps.Keys(services)) {
		methods := slices.SortedFunc(slices.Values(services[service].Methods), func(a, b grpc.MethodInfo) int {
			return cmp.Compare(a.Name, b.Name)
		})
		for _, method := range methods {
			fullMethod := "/" + service + "/" + method.Name
			row, listed := rows[fullMethod]
			if !listed {
				row, listed = rows["/"+service+"/*"]
			}
			for _, p := range rowProbes(row, listed, &faults, fullMethod) {
				p.method = fullMethod
				p.shape = grpc.StreamDesc{ClientStreams: method.IsClientStream, ServerStreams: method.IsServerStream}
				probes = append(probes, p)
			}
		}
	}
	return probes, faults
}

// awaitReady connects and reports whether that succeeded.
func awaitReady(ctx context.Context, conn *grpc.ClientConn) bool {
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure || !conn.WaitForStateChange(ctx, state) {
			return false
		}
	}
	return true
}
