package auth0grpctest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	// waitLimit is when a call counts as let through, with a handler that waits for
	// something. A refusal would have come by then.
	waitLimit = time.Second
	// sweepLimit ends calls to a server that does not answer.
	sweepLimit = time.Minute
)

// Sweep calls every method that is registered with srv, in its own shape, unary
// or streaming. It calls without a token, with each kind of token that meets the
// method's row in the table of guard, and with tokens that lack one scope, permission,
// organization or client in turn. It also calls with tokens that have all scopes and
// permissions of the other rows, which do not meet the row. Sweep fails the test with a
// line for each call whose outcome differs from the row, as for a method without an
// interceptor. With -v it logs which calls each method let through and refused.
//
//	func TestGate(t *testing.T) {
//		tenant := auth0grpctest.NewTenant(t)
//		guard, server := newServer(tenant) // as in production, but for the tenant
//		auth0grpctest.Sweep(t, server, guard, tenant, nil)
//	}
//
// The tokens come from [Tenant.Token], with claims laid over them: nil, or the claims
// that guard requires of every token, such as another "aud".
//
// The requests are empty messages, and those that pass reach the handlers, so
// register handlers that are safe to run. Their answers do not matter. A handler that
// does not answer within a second counts as reached.
//
// A report-only row must let all calls pass. A Config that is report-only as a whole
// fails the sweep. Sweep calls a row for bound tokens with bearer tokens alone, which it
// must refuse. A method without a row must refuse all calls: Sweep does not report the
// missing row, [auth0grpc.Interceptor.CheckServices] does. A row with
// rules about request messages must refuse the empty message and a request for a record of
// another party. Sweep tests neither expired nor forged tokens.
func Sweep(tb testing.TB, srv *grpc.Server, guard *auth0grpc.Interceptor, tenant *Tenant, claims map[string]any) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sweepLimit)
	defer cancel()
	if err := guard.Ready(ctx); err != nil {
		tb.Fatalf("auth0grpctest: sweep: guard has no keys; is it of this tenant? %v", err)
	}
	s := &sweep{conn: Connect(tb, srv, ""), tenant: tenant, claims: claims}
	if !awaitReady(ctx, s.conn) {
		tb.Fatalf("auth0grpctest: sweep: the server does not serve")
	}
	probes, findings := tableProbes(srv.GetServiceInfo(), guard.Methods())
	for _, finding := range findings {
		tb.Errorf("auth0grpctest: sweep: %s", finding)
	}
	results := s.run(probes)
	for _, finding := range results {
		if finding != "" {
			tb.Errorf("auth0grpctest: sweep: %s", finding)
		}
	}
	for _, line := range summary(probes, results) {
		tb.Logf("auth0grpctest: sweep: %s", line)
	}
}

// summary returns a line for each method with the calls that went as the row says, and
// a last line with the numbers.
func summary(probes []probe, results []string) []string {
	var lines []string
	good, methods := 0, 0
	for start := 0; start < len(probes); {
		end := start
		var passed, refused []string
		for ; end < len(probes) && probes[end].method == probes[start].method; end++ {
			switch p := &probes[end]; {
			case results[end] != "":
			case p.passes:
				passed = append(passed, p.token())
			default:
				refused = append(refused, p.token())
			}
		}
		good += len(passed) + len(refused)
		methods++
		lines = append(lines, fmt.Sprintf("%s (%s): let through %s; refused %s",
			probes[start].method, probes[start].rule, calls(passed), calls(refused)))
		start = end
	}
	return append(lines, fmt.Sprintf("%d of %d calls to %d methods went as the table says", good, len(probes), methods))
}

// calls lists tokens, and only counts those after the fifth.
func calls(tokens []string) string {
	const maxTokens = 5
	switch {
	case len(tokens) == 0:
		return "none"
	case len(tokens) > maxTokens:
		return fmt.Sprintf("%s | and %d more", strings.Join(tokens[:maxTokens], " | "), len(tokens)-maxTokens)
	}
	return strings.Join(tokens, " | ")
}

// A sweep makes calls over one connection.
type sweep struct {
	conn   *grpc.ClientConn
	tenant *Tenant
	claims map[string]any
}

// run makes all calls and returns the finding of each, or "".
func (s *sweep) run(probes []probe) []string {
	findings := make([]string, len(probes))
	next := make(chan int)
	var workers sync.WaitGroup
	for range sweepWorkers {
		workers.Go(func() {
			for i := range next {
				findings[i] = s.probe(&probes[i])
			}
		})
	}
	for i := range probes {
		next <- i
	}
	close(next)
	workers.Wait()
	return findings
}

// tableProbes returns the calls to make, in the order of the methods' names, and
// the rows that no call can do justice to.
func tableProbes(services map[string]grpc.ServiceInfo, rows map[string]auth0grpc.Rule) (probes []probe, findings []string) {
	all := tableGrants(rows)
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
			for _, p := range rowProbes(row, listed, all, &findings, fullMethod) {
				p.method = fullMethod
				p.shape = grpc.StreamDesc{ClientStreams: method.IsClientStream, ServerStreams: method.IsServerStream}
				probes = append(probes, p)
			}
		}
	}
	return probes, findings
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
