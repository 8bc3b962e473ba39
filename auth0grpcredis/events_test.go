package auth0grpcredis

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// eventsCutsEnv sets the number of cuts in TestEventsReachEveryProcess; the test of a
// release has 1000.
const eventsCutsEnv = "AUTH0GRPCREDIS_TEST_CUTS"

// An eventFleet is a tenant with events, a Redis, and server processes that share both.
type eventFleet struct {
	tenant *auth0grpctest.Tenant
	config string
}

func newEventFleet(tb testing.TB) *eventFleet {
	tb.Helper()
	f := &eventFleet{tenant: auth0grpctest.NewTenant(tb)}
	f.tenant.AddClient("events", "client-secret", map[string][]string{f.tenant.EventsAudience(): {auth0grpctest.EventsScope}})
	certificate, _ := pem.Decode(f.tenant.CertificatePEM())
	config, err := json.Marshal(eventProcessConfig{
		Issuer: f.tenant.Issuer(), Audience: f.tenant.EventsAudience(), Certificate: certificate.Bytes, Redis: startRedis(tb).address,
	})
	if err != nil {
		tb.Fatal(err)
	}
	f.config = string(config)
	return f
}

// An eventProcess is a server process.
type eventProcess struct {
	*serverProcess
	client testgrpc.TestServiceClient
}

// start starts a server process that ends with the test.
func (f *eventFleet) start(tb testing.TB) *eventProcess {
	tb.Helper()
	p := &eventProcess{serverProcess: startProcess(tb, eventProcessEnv+"="+f.config)}
	p.client = testgrpc.NewTestServiceClient(p.dial(tb, p.state(tb).Address))
	return p
}

func (p *eventProcess) state(tb testing.TB) (state eventProcessState) {
	tb.Helper()
	p.exchange(tb, struct{}{}, &state)
	return state
}

func authorized(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// open opens a stream and returns a channel that gets the error it ends with.
func (p *eventProcess) open(tb testing.TB, ctx context.Context, token string) <-chan error {
	tb.Helper()
	stream, err := p.client.FullDuplexCall(authorized(ctx, token))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		tb.Fatalf("the stream does not open: %v", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := stream.Recv()
		ended <- err
	}()
	return ended
}

// isRevoked reports whether an error is the refusal of a revoked token.
func isRevoked(err error) bool {
	reason, _ := auth0grpc.ReasonFromError(err)
	return reason == auth0grpc.ReasonTokenRevoked
}

// An eventRun is one run of TestEventsReachEveryProcess.
type eventRun struct {
	*eventFleet
	processes []*eventProcess
	tokens    []string // of all blocked users
	latencies []time.Duration
	takeovers []time.Duration
}

// leader waits until one process leads, and returns its index.
func (r *eventRun) leader(tb testing.TB) (index int) {
	tb.Helper()
	deadline, tick := time.After(processPatience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for {
		for i, p := range r.processes {
			if p.state(tb).Leader {
				return i
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatal("no process leads")
		}
	}
}

// block blocks a user while that user has a stream at every process, and waits for the end
// of these streams. With killLeader the leader is killed at the same moment.
func (r *eventRun) block(tb testing.TB, killLeader bool) {
	tb.Helper()
	subject := fmt.Sprintf("auth0|%d", len(r.tokens))
	token := r.tenant.Token(map[string]any{"sub": subject})
	r.tokens = append(r.tokens, token)
	ctx, cancel := context.WithTimeout(tb.Context(), processPatience)
	defer cancel()
	var ends []<-chan error
	for _, p := range r.processes {
		ends = append(ends, p.open(tb, ctx, token))
	}
	victim := -1
	began := time.Now()
	if killLeader {
		victim = r.leader(tb)
		began = time.Now()
		go r.tenant.Events().BlockUser(subject)
		r.processes[victim].kill(tb)
	} else {
		r.tenant.Events().BlockUser(subject)
	}
	for i, end := range ends {
		if err := <-end; i != victim && !isRevoked(err) {
			tb.Errorf("%s: the stream at process %d ended with %v, want TOKEN_REVOKED", subject, i, err)
		}
	}
	if took := time.Since(began); killLeader {
		r.takeovers = append(r.takeovers, took)
	} else {
		r.latencies = append(r.latencies, took)
	}
	if killLeader {
		r.processes[victim] = r.start(tb)
	}
}

// Three processes follow one tenant, whose connections are cut all the time, and whose
// leader is killed. No event is lost, every blocked user is refused everywhere, and no
// other user is.
func TestEventsReachEveryProcess(t *testing.T) {
	cuts := 40
	if text, ok := os.LookupEnv(eventsCutsEnv); ok {
		cuts, _ = strconv.Atoi(text)
	}
	f := newEventFleet(t)
	events := f.tenant.Events()
	// Each connection is cut after one event, and there is one connection at a time, as
	// on Auth0's free plan.
	events.SetFailures(auth0grpctest.EventFailures{CutAfter: 1, MaxConnections: 1, Duplicate: true, Retry: time.Millisecond})
	r := &eventRun{eventFleet: f}
	for range 3 {
		r.processes = append(r.processes, f.start(t))
	}
	interval := max(10, cuts/20) // from one leader killed to the next
	stop := r.makeLoad(t)
	for i := range cuts {
		events.Publish("user.updated", map[string]any{"user_id": "auth0|other", "blocked": false})
		r.block(t, i%interval == interval/2)
	}
	calls := stop()
	for i, p := range r.processes {
		for n, token := range r.tokens {
			ctx, cancel := context.WithTimeout(t.Context(), processPatience)
			if _, err := p.client.EmptyCall(authorized(ctx, token), &testgrpc.Empty{}); !isRevoked(err) {
				t.Errorf("process %d: user %d is not refused: %v", i, n, err)
			}
			cancel()
		}
	}
	slices.Sort(r.latencies)
	percentile := func(p int) time.Duration { return r.latencies[len(r.latencies)*p/100].Round(100 * time.Microsecond) }
	t.Logf("%d users blocked, %d requests to the Events API, %d calls of others; from event to the end of the last of three streams: p50 %v, p99 %v, longest %v",
		len(r.tokens), events.Requests(), calls, percentile(50), percentile(99), r.latencies[len(r.latencies)-1].Round(time.Millisecond))
	t.Logf("the leader killed at the moment of the event (lease %v): %v", leaseDuration, r.takeovers)
}

// makeLoad calls the processes for a user who is not blocked, until stop is called, which
// returns the number of calls.
func (r *eventRun) makeLoad(tb testing.TB) (stop func() int64) {
	ctx, cancel := context.WithCancel(tb.Context())
	token := r.tenant.Token(map[string]any{"sub": "auth0|other"})
	var calls atomic.Int64
	var group sync.WaitGroup
	for _, p := range r.processes {
		group.Go(func() {
			for ctx.Err() == nil {
				_, err := p.client.EmptyCall(authorized(ctx, token), &testgrpc.Empty{})
				switch status.Code(err) {
				case codes.OK:
					calls.Add(1)
				case codes.Unavailable, codes.Canceled: // killed
					return
				default:
					tb.Errorf("the call of another user: %v", err)
					return
				}
			}
		})
	}
	return func() int64 {
		cancel()
		group.Wait()
		return calls.Load()
	}
}
