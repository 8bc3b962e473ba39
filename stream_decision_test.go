package auth0grpc_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

func TestDecisionsOfStreams(t *testing.T) {
	started := make(chan struct{}, 1)
	s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
		started <- struct{}{}
		return drain(stream)
	}), func(_ *fixture, c *auth0grpc.Config) {
		c.Methods[streamShapes[1].name] = auth0grpc.Optional()
	})
	token := s.token(claims{"exp": today.Add(time.Hour)})
	seen := 0
	check := func(name string, want ...string) []auth0grpc.Decision {
		t.Helper()
		all := s.decisions.told(t, seen+len(want))
		if diff := cmp.Diff(want, outcomes(all[seen:])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		news := all[seen:]
		seen = len(all)
		return news
	}
	stream := s.open(t, "tcp", streamShapes[2], bearer(token)...)
	<-started
	check("opened", "allowed")
	_ = stream.CloseSend()
	finish(stream, "tcp")
	check("ended by itself", "ended")

	finish(s.open(t, "tcp", streamShapes[2]), "tcp")
	check("refused", "refused MISSING_TOKEN")

	stream = s.open(t, "tcp", streamShapes[1])
	<-started
	_ = stream.CloseSend()
	finish(stream, "tcp")
	check("without a token", "allowed")

	stream = s.open(t, "tcp", streamShapes[2], bearer(token)...)
	<-started
	s.timers.expire(t, time.Hour)
	finish(stream, "tcp")
	last := check("expired", "allowed", "ended TOKEN_EXPIRED")[1]
	want := auth0grpc.Decision{
		FullMethod: streamShapes[2].name, Row: allMethods, Outcome: auth0grpc.OutcomeEnded, Reason: auth0grpc.ReasonTokenExpired,
		Code: codes.Unauthenticated, Subject: auth0grpctest.Subject, ClientID: auth0grpctest.ClientID, Issuer: s.tenant.Issuer(),
		KeyID: last.KeyID, CacheHit: true, Duration: last.Duration, Policy: s.guard.Stats().Policy,
	}
	if diff := cmp.Diff(want, last); diff != "" || last.KeyID == "" || last.Duration <= 0 {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
	check("nothing more")
}

// Report-only lets streams go on, too, and tells once of each that would not.
func TestReportOnlyStreams(t *testing.T) {
	for _, whole := range []bool{true, false} {
		started := make(chan struct{}, 1)
		s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
			started <- struct{}{}
			return drain(stream)
		}), func(_ *fixture, c *auth0grpc.Config) {
			c.Logger = slog.New(slog.DiscardHandler)
			if whole {
				c.ReportOnly = auth0grpc.ReportOnlyTable
			} else {
				c.Methods[allMethods] = c.Methods[allMethods].ReportOnly()
			}
		})
		stream := s.open(t, "tcp", streamShapes[2], bearer(s.token(claims{"exp": today.Add(time.Hour)}))...)
		<-started
		s.timers.expire(t, 2*time.Hour)
		if d := s.decisions.told(t, 2)[1]; d.FullMethod != streamShapes[2].name || d.Subject != auth0grpctest.Subject {
			t.Errorf("reported %+v", d)
		}
		if err := stream.SendMsg(&testgrpc.Empty{}); err != nil {
			t.Error(err)
		}
		_ = stream.CloseSend()
		got := finish(stream, "tcp")
		if reason, _ := auth0grpc.ReasonFromError(got.err); reason != "" {
			t.Errorf("ended with %s", reason)
		}
		want := []string{"allowed", "reported TOKEN_EXPIRED", "ended"}
		if diff := cmp.Diff(want, outcomes(s.decisions.told(t, 3))); diff != "" {
			t.Errorf("decisions (-want +got):\n%s", diff)
		}
	}
}

// The cause of the context has the status of the end, for loggers that see the error of
// the handler. The error of the context has not.
func TestCauseHasTheStatus(t *testing.T) {
	ended := make(chan context.Context, 1)
	s := newFixture(t, handleStreams(func(stream grpc.ServerStream) error {
		<-stream.Context().Done()
		ended <- stream.Context()
		return stream.Context().Err()
	}))
	stream := s.open(t, "bufconn", streamShapes[2], bearer(s.token(claims{"exp": today.Add(time.Minute)}))...)
	s.timers.expire(t, time.Minute)
	ctx := <-ended
	reason, _ := auth0grpc.ReasonFromError(context.Cause(ctx))
	if code := status.Code(context.Cause(ctx)); code != codes.Unauthenticated || reason != auth0grpc.ReasonTokenExpired {
		t.Errorf("cause: %v, %s", code, reason)
	}
	if code := status.FromContextError(ctx.Err()).Code(); code != codes.Canceled {
		t.Errorf("error of the context: %v", code)
	}
	if got := finish(stream, "bufconn"); status.Code(got.err) != codes.Unauthenticated {
		t.Errorf("the client got %v", got.err)
	}
}
