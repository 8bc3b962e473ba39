package auth0grpcotel_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpcotel"
)

// numbers returns the points of the metrics whose name has a prefix.
func numbers(t *testing.T, reader sdkmetric.Reader, prefix string) map[string]float64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	points := map[string]float64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if !strings.HasPrefix(m.Name, prefix) {
				continue
			}
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					name := m.Name
					if outcome, ok := p.Attributes.Value("auth0grpc.event.outcome"); ok {
						name += "/" + outcome.AsString()
					}
					points[name] = float64(p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					points[m.Name] = p.Value
				}
			}
		}
	}
	return points
}

func TestFeedMetrics(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	telemetry := newTelemetry(t, reader)
	if got := numbers(t, reader, "auth0grpc.feed."); len(got) != 0 {
		t.Errorf("points without a feed: %v", got)
	}
	telemetry.ObserveFeed(func() auth0grpcotel.FeedStats {
		return auth0grpcotel.FeedStats{Connected: true, Lag: time.Second, LastEntry: time.Unix(100, 5e8), Entries: 3, Gaps: 1, Republished: 2}
	})
	telemetry.ObserveFeed(func() auth0grpcotel.FeedStats {
		return auth0grpcotel.FeedStats{Lag: 3 * time.Second, Entries: 4, TrimError: errors.New("full")}
	})
	want := map[string]float64{
		"auth0grpc.feed.connected": 1, "auth0grpc.feed.entries": 7, "auth0grpc.feed.trim_failing": 1, "auth0grpc.feed.lag": 3,
		"auth0grpc.feed.last_entry": 100.5, "auth0grpc.feed.gaps": 1, "auth0grpc.feed.republished": 2,
	}
	if diff := cmp.Diff(want, numbers(t, reader, "auth0grpc.feed.")); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}

func TestEventMetrics(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	telemetry := newTelemetry(t, reader)
	s := newScene(t, nil)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	monitor := new(auth0grpcevents.Monitor)
	telemetry.ObserveEvents(monitor)
	telemetry.ObserveEvents(new(auth0grpcevents.Monitor))
	handler := auth0grpcevents.Webhook(s.guard, auth0grpcevents.Config{
		Tenant: "t", Secrets: []string{"a-secret-of-the-stream"}, Monitor: monitor, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return at.Add(2 * time.Second) },
	})
	event := `{"specversion":"1.0","type":"user.deleted","id":"evt_1","time":"2026-03-01T12:00:00Z","a0tenant":"t","data":{"object":{"user_id":"auth0|1"}}}`
	for _, body := range []string{event, event, "garbage", strings.Replace(event, `"t"`, `"u"`, 1), strings.Replace(event, "user.deleted", "x", 1)} {
		request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		request.Header.Set("Authorization", "Bearer a-secret-of-the-stream")
		handler.ServeHTTP(httptest.NewRecorder(), request)
	}
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
	want := map[string]float64{
		"auth0grpc.events.leaders": 0, "auth0grpc.events.lag": 0, "auth0grpc.events.delay": 2, "auth0grpc.events.outages": 0,
		"auth0grpc.events.last_event":       float64(at.Unix()),
		"auth0grpc.events.received/revoked": 1, "auth0grpc.events.received/duplicate": 1, "auth0grpc.events.received/malformed": 1,
		"auth0grpc.events.received/other_tenant": 1, "auth0grpc.events.received/unknown": 1, "auth0grpc.events.received/test": 0,
		"auth0grpc.events.received/unrelated": 0, "auth0grpc.events.received/unauthenticated": 1,
	}
	if diff := cmp.Diff(want, numbers(t, reader, "auth0grpc.events.")); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}

// noTokens is a TokenSource that fails.
type noTokens struct{}

func (noTokens) AccessToken(context.Context, string) (string, error) {
	return "", errors.New("no token")
}

// A leader that gets no token has one outage, and has received nothing since its start.
// There is no time of an event before the first one, and none of an entry.
func TestLeaderMetrics(t *testing.T) {
	s := newScene(t, nil)
	synctest.Test(t, func(t *testing.T) {
		reader := sdkmetric.NewManualReader()
		telemetry := newTelemetry(t, reader)
		telemetry.ObserveFeed(func() auth0grpcotel.FeedStats { return auth0grpcotel.FeedStats{} })
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			monitor := new(auth0grpcevents.Monitor)
			telemetry.ObserveEvents(monitor)
			go func() {
				_ = auth0grpcevents.Follow(ctx, s.guard, auth0grpcevents.Config{
					Tenant: "t", TokenSource: noTokens{}, Monitor: monitor, Logger: slog.New(slog.DiscardHandler),
				})
			}()
		}
		synctest.Wait()
		time.Sleep(3 * time.Second) // the bubble's clock: no real time passes
		got := numbers(t, reader, "auth0grpc.events.")
		if got["auth0grpc.events.leaders"] != 2 || got["auth0grpc.events.outages"] != 2 || got["auth0grpc.events.lag"] != 3 {
			t.Errorf("points %v, want two leaders with an outage each, since 3 seconds", got)
		}
		for _, name := range []string{"auth0grpc.events.last_event", "auth0grpc.feed.last_entry"} {
			if at, ok := numbers(t, reader, name)[name]; ok {
				t.Errorf("%s is %v, want no point", name, at)
			}
		}
		cancel()
		synctest.Wait()
	})
}

// auth0grpcredis.FeedStats has these fields, in this order, so that it converts.
func TestFeedStatsConverts(t *testing.T) {
	_ = auth0grpcotel.FeedStats(struct {
		Connected         bool
		Lag               time.Duration
		LastEntry         time.Time
		Entries           int
		Gaps, Republished int
		TrimError         error
	}{})
}
