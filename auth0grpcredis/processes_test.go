package auth0grpcredis

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const emptyCall = testgrpc.TestService_EmptyCall_FullMethodName

// A fleet is a tenant, a Redis, and server processes that share both.
type fleet struct {
	tenant *auth0grpctest.Tenant
	redis  *redisServer
	config string
	tokens int // made so far
}

func newFleet(tb testing.TB, redisOptions ...string) *fleet {
	tb.Helper()
	f := &fleet{tenant: auth0grpctest.NewTenant(tb), redis: startRedis(tb, redisOptions...)}
	host := strings.Trim(strings.TrimPrefix(f.tenant.Issuer(), "https:"), "/")
	conn, err := tls.Dial("tcp", host, &tls.Config{InsecureSkipVerify: true}) // to get the certificate to trust
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	config, err := json.Marshal(replicaConfig{
		Issuer: f.tenant.Issuer(), Certificate: conn.ConnectionState().PeerCertificates[0].Raw, Redis: f.redis.address,
	})
	if err != nil {
		tb.Fatal(err)
	}
	f.config = string(config)
	return f
}

// token returns a new token of a subject that the servers accept.
func (f *fleet) token(subject string) string {
	f.tokens++
	return f.tenant.Token(map[string]any{"sub": subject, "scope": "read:orders", "jti": fmt.Sprint(f.tokens)})
}

// A replica is a server process.
type replica struct {
	*serverProcess
	client testgrpc.TestServiceClient
}

// start starts a server process, which ends with the test.
func (f *fleet) start(tb testing.TB) *replica {
	tb.Helper()
	r := &replica{serverProcess: startProcess(tb, replicaEnv+"="+f.config)}
	r.client = testgrpc.NewTestServiceClient(r.dial(tb, r.do(tb, order{}).Address))
	return r
}

func (f *fleet) startAll(tb testing.TB, n int) []*replica {
	tb.Helper()
	replicas := make([]*replica, n)
	for i := range replicas {
		replicas[i] = f.start(tb)
	}
	return replicas
}

// do has the process do something.
func (r *replica) do(tb testing.TB, o order) (a answer) {
	tb.Helper()
	r.exchange(tb, o, &a)
	return a
}

// revoke revokes the tokens issued to a subject until now.
func (r *replica) revoke(tb testing.TB, subject string) (failure string) {
	tb.Helper()
	return r.do(tb, order{Revoke: &auth0grpc.Revocation{Subject: subject, IssuedBefore: time.Now().Add(time.Second)}}).Error
}

func (r *replica) gaps(tb testing.TB) []string {
	tb.Helper()
	return r.do(tb, order{}).Gaps
}

// call makes a call and returns the Reason why it was refused, or "".
func (r *replica) call(tb testing.TB, pairs ...string) auth0grpc.Reason {
	tb.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(tb.Context(), pairs...), patience)
	defer cancel()
	_, err := r.client.EmptyCall(ctx, &testgrpc.Empty{})
	return reasonOf(tb, err)
}

func (r *replica) callWith(tb testing.TB, token string) auth0grpc.Reason {
	tb.Helper()
	return r.call(tb, "authorization", "Bearer "+token)
}

func reasonOf(tb testing.TB, err error) auth0grpc.Reason {
	tb.Helper()
	if err == nil {
		return ""
	}
	reason, ok := auth0grpc.ReasonFromError(err)
	if !ok {
		tb.Errorf("%v, want a status with a reason", err) // not Fatalf: on any goroutine
		return "none"
	}
	return reason
}

// open opens a stream and returns a channel that gets the error it ends with.
func (r *replica) open(tb testing.TB, token string) <-chan error {
	tb.Helper()
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(tb.Context(), "authorization", "Bearer "+token))
	tb.Cleanup(cancel)
	stream, err := r.client.FullDuplexCall(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		tb.Fatalf("the stream does not open: %v", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := stream.Recv()
		if err == nil {
			err = fmt.Errorf("another message, want the end: %w", io.ErrUnexpectedEOF)
		}
		ended <- err
	}()
	return ended
}

// checkRevoked asserts that a stream ended as one whose token was revoked.
func checkRevoked(tb testing.TB, err error) {
	tb.Helper()
	if status.Code(err) != codes.Unauthenticated || reasonOf(tb, err) != auth0grpc.ReasonTokenRevoked {
		tb.Errorf("the stream ended with %v, want Unauthenticated, TOKEN_REVOKED", err)
	}
}

// A revocation on one of three servers ends the streams on all of them, and refuses
// later calls.
func TestRevocationReachesEveryProcess(t *testing.T) {
	f := newFleet(t)
	replicas := f.startAll(t, 3)
	var worst time.Duration
	for round := range 5 {
		subject := fmt.Sprintf("auth0|%d", round)
		mine, other := f.token(subject), f.token("auth0|other")
		var ends, others []<-chan error
		var unseen []string // by any server
		for _, r := range replicas {
			unseen = append(unseen, f.token(subject))
			ends = append(ends, r.open(t, mine))
			others = append(others, r.open(t, other))
		}
		began := time.Now()
		if failure := replicas[round%3].revoke(t, subject); failure != "" {
			t.Fatalf("Revoke = %s", failure)
		}
		for _, end := range ends {
			checkRevoked(t, receive(t, end, "the end of the stream"))
		}
		worst = max(worst, time.Since(began))
		for i, r := range replicas {
			if reason := r.callWith(t, mine); reason != auth0grpc.ReasonTokenRevoked {
				t.Errorf("server %d: a call with the same token is refused with %q, want TOKEN_REVOKED", i, reason)
			}
			if reason := r.callWith(t, unseen[i]); reason != auth0grpc.ReasonTokenRevoked {
				t.Errorf("server %d: a token that it never saw is refused with %q, want TOKEN_REVOKED", i, reason)
			}
			if reason := r.callWith(t, other); reason != "" {
				t.Errorf("server %d: somebody else's call is refused with %s", i, reason)
			}
			select {
			case err := <-others[i]:
				t.Errorf("server %d: somebody else's stream ended: %v", i, err)
			default:
			}
		}
	}
	checkFigure(t, "from Revoke to the end of the last of three streams, the longest of 5 rounds", worst, time.Second)
}

func TestLateProcessCatchesUp(t *testing.T) {
	f := newFleet(t)
	token := f.token("auth0|1")
	if failure := f.start(t).revoke(t, "auth0|1"); failure != "" {
		t.Fatalf("Revoke = %s", failure)
	}
	late := f.start(t)
	began := time.Now()
	eventually(t, "the late server refuses the token", func() bool {
		return late.callWith(t, token) == auth0grpc.ReasonTokenRevoked
	})
	t.Logf("refused %v after the server was up", time.Since(began).Round(time.Millisecond))
	if gaps := late.gaps(t); len(gaps) != 0 {
		t.Errorf("gaps %q, want none", gaps)
	}
}

// Redis is killed and comes back with its data. Meanwhile servers continue, and revoke
// locally; afterwards they receive each other's revocations again.
func TestProcessesGoOnWithoutRedis(t *testing.T) {
	f := newFleet(t, "--appendonly", "yes", "--appendfsync", "always")
	replicas := f.startAll(t, 2)
	first, second := replicas[0], replicas[1]
	before, during, after, other := f.token("auth0|before"), f.token("auth0|during"), f.token("auth0|after"), f.token("auth0|other")
	if failure := first.revoke(t, "auth0|before"); failure != "" {
		t.Fatalf("Revoke = %s", failure)
	}
	refuses := func(r *replica, token string) func() bool {
		return func() bool { return r.callWith(t, token) == auth0grpc.ReasonTokenRevoked }
	}
	eventually(t, "the second server hears of it", refuses(second, before))

	f.redis.stop()
	for i, r := range replicas {
		eventually(t, fmt.Sprintf("server %d reports a gap", i), func() bool { return len(r.gaps(t)) > 0 })
	}
	stream := first.open(t, during)
	if failure := first.revoke(t, "auth0|during"); !strings.Contains(failure, "publishing failed") {
		t.Errorf("Revoke = %q without Redis, want that publishing failed", failure)
	}
	checkRevoked(t, receive(t, stream, "the end of the stream"))
	for i, r := range replicas {
		if !refuses(r, before)() {
			t.Errorf("server %d has forgotten a revocation", i)
		}
		if reason := r.callWith(t, other); reason != "" {
			t.Errorf("server %d: a good call is refused with %s", i, reason)
		}
	}
	if !refuses(first, during)() {
		t.Error("the first server does not keep its own revocation")
	}

	f.redis.restart(t)
	restarted := time.Now()
	eventually(t, "the first server can publish again", func() bool { return first.revoke(t, "auth0|after") == "" })
	eventually(t, "the second server hears of it", refuses(second, after))
	t.Logf("heard of one another %v after Redis was back", time.Since(restarted).Round(time.Millisecond))
	for i, r := range replicas {
		if gaps := r.gaps(t); len(gaps) != 1 || !strings.Contains(gaps[0], "follow") {
			t.Errorf("server %d reported the gaps %q, want one for the one outage", i, gaps)
		}
	}

	late := f.start(t) // and entries from before the outage are still there
	eventually(t, "a late server hears of all", func() bool { return refuses(late, before)() && refuses(late, after)() })
}

// A DPoP proof that one server has seen is refused by the other.
func TestReplayToAnotherProcess(t *testing.T) {
	f := newFleet(t)
	replicas := f.startAll(t, 2)
	key := auth0grpctest.NewDPoPKey()
	token := f.tenant.BoundToken(map[string]any{"scope": "read:orders"}, key)
	call := func(r *replica, proof string) auth0grpc.Reason {
		t.Helper()
		return r.call(t, "authorization", "DPoP "+token, "dpop", proof)
	}
	for round := range 4 {
		proof := key.Proof(authority+emptyCall, token, nil)
		here, there := replicas[round%2], replicas[1-round%2]
		if reason := call(here, proof); reason != "" {
			t.Fatalf("a fresh proof is refused with %s", reason)
		}
		for name, r := range map[string]*replica{"other": there, "same": here} {
			if reason := call(r, proof); reason != auth0grpc.ReasonDPoPProofReplayed {
				t.Errorf("replayed to the %s server: reason %q, want DPOP_PROOF_REPLAYED", name, reason)
			}
		}
	}

	// 64 calls race with one proof, half of them to each server.
	proof, reasons := key.Proof(authority+emptyCall, token, nil), make(chan auth0grpc.Reason, 64)
	for i := range 64 {
		go func() { reasons <- call(replicas[i%2], proof) }()
	}
	passed := 0
	for range 64 {
		switch reason := receive(t, reasons, "an answer"); reason {
		case "":
			passed++
		case auth0grpc.ReasonDPoPProofReplayed:
		default:
			t.Errorf("refused with %s, want DPOP_PROOF_REPLAYED", reason)
		}
	}
	if passed != 1 {
		t.Errorf("%d of 64 calls with one proof passed, want 1", passed)
	}

	f.redis.stop()
	if reason := call(replicas[0], key.Proof(authority+emptyCall, token, nil)); reason != auth0grpc.ReasonReplayStoreUnavailable {
		t.Errorf("without Redis, a fresh proof is refused with %q, want REPLAY_STORE_UNAVAILABLE", reason)
	}
}
