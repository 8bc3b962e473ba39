package integration

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// The provider's process is killed under load and comes back after a quarter of
// an hour of the library's clock: no good call fails, not even with tokens that
// are first seen in the outage.
func TestProviderRestart(t *testing.T) {
	a := newAuthority(t)
	p := startProvider(t, a)
	clock := newFastClock()
	s := serve(t, a, []string{p.issuer}, clock.use)
	before, during := p.machineTokens(t, 20), p.machineTokens(t, 200)
	l := startLoad(t, clock, ordersv1.NewOrdersClient(s.dial(t)), before)
	clock.pass(t, time.Minute)

	p.kill()
	l.use(during)
	clock.pass(t, 15*time.Minute)
	oldest := s.guard.Stats().KeyAge[p.issuer]
	if oldest < 10*time.Minute {
		t.Errorf("the keys were %v old at the end of the outage, so it tested little", oldest)
	}
	p.start(t)
	l.use(p.machineTokens(t, 20))
	clock.runUntil(t, "the keys are refreshed", func() bool {
		return s.guard.Stats().KeyAge[p.issuer] < 5*time.Minute
	})
	clock.pass(t, 2*time.Minute)
	l.check(t)
	summarize(t, "provider killed for 15m of the library's clock under %d calls/s: %v; keys up to %v old", perSecond, l, oldest.Round(time.Second))
}

// watchReadiness keeps a health service in step with Ready, as a server's main
// function does.
func watchReadiness(ctx context.Context, guard *auth0grpc.Interceptor, service *health.Server) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		state := healthpb.HealthCheckResponse_SERVING
		if guard.Ready(ctx) != nil {
			state = healthpb.HealthCheckResponse_NOT_SERVING
		}
		service.SetServingStatus("", state)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// The server is restarted while the provider is down: it says that it is not
// ready, answers Unavailable, and recovers by itself.
func TestStartWithoutProvider(t *testing.T) {
	a := newAuthority(t)
	p := startProvider(t, a)
	token := p.machineToken(t, "read:orders")
	first := serve(t, a, []string{p.issuer}, nil)
	if err := getOrder(first.dial(t), token); err != nil {
		t.Fatal(err)
	}
	first.grpc.Stop()
	p.kill()

	clock, state := newFastClock(), health.NewServer()
	s := serve(t, a, []string{p.issuer}, func(c *auth0grpc.Config) {
		clock.use(c)
		c.Methods[auth0grpc.HealthService] = auth0grpc.Public()
	}, func(s *grpc.Server) { healthpb.RegisterHealthServer(s, state) })
	if err := s.guard.Ready(t.Context()); !errors.Is(err, auth0grpc.ErrKeysUnavailable) {
		t.Errorf("Ready: %v, want ErrKeysUnavailable", err)
	}
	go watchReadiness(t.Context(), s.guard, state)
	conn := s.dial(t)
	clock.runUntil(t, "the health service says NOT_SERVING", func() bool {
		return healthOf(t, conn) == healthpb.HealthCheckResponse_NOT_SERVING
	})
	err := getOrder(conn, token)
	if reason, _ := auth0grpc.ReasonFromError(err); status.Code(err) != codes.Unavailable || reason != auth0grpc.ReasonKeysUnavailable {
		t.Errorf("a call without keys: %v %s, want Unavailable, KEYS_UNAVAILABLE", err, reason)
	}
	p.start(t)
	clock.runUntil(t, "calls succeed again", func() bool { return getOrder(conn, token) == nil })
	clock.runUntil(t, "the health service says SERVING", func() bool {
		return healthOf(t, conn) == healthpb.HealthCheckResponse_SERVING
	})
	if err := s.guard.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
	summarize(t, "Ready and health say so, calls get Unavailable, and all recover by themselves")
}

func getOrder(conn *grpc.ClientConn, token string) error {
	ctx, cancel := withToken(token)
	defer cancel()
	_, err := ordersv1.NewOrdersClient(conn).GetOrder(ctx, &ordersv1.GetOrderRequest{Id: "1"})
	return err
}

func healthOf(t *testing.T, conn *grpc.ClientConn) healthpb.HealthCheckResponse_ServingStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	response, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return response.Status
}
