package auth0grpcotel

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
)

const eventOutcomeKey = attribute.Key("auth0grpc.event.outcome")

// FeedStats describes a revocation feed at one moment. It has the fields of
// auth0grpcredis.FeedStats, which this module does not import, so that one converts to
// the other.
type FeedStats struct {
	Connected   bool
	Lag         time.Duration
	LastEntry   time.Time
	Entries     int
	Gaps        int
	Republished int
	TrimError   error
}

// revocations are the instruments of feeds and of Auth0's events.
type revocations struct {
	mu       sync.Mutex
	feeds    []func() FeedStats
	monitors []*auth0grpcevents.Monitor

	feedConnected, feedEntries, feedTrimFailing metric.Int64ObservableUpDownCounter
	feedLag, feedLastEntry                      metric.Float64ObservableGauge
	feedGaps, feedRepublished                   metric.Int64ObservableCounter

	leaders                    metric.Int64ObservableUpDownCounter
	eventLag, delay, lastEvent metric.Float64ObservableGauge
	received, outages          metric.Int64ObservableCounter
}

// ObserveFeed adds the state of a revocation feed to the metrics, for the lifetime of
// the MeterProvider. stats is called at each collection, on any goroutine:
//
//	telemetry.ObserveFeed(func() auth0grpcotel.FeedStats { return auth0grpcotel.FeedStats(feed.Stats()) })
//
// Several feeds add up; the longest lag and the latest entry count.
func (t *Telemetry) ObserveFeed(stats func() FeedStats) {
	r := &t.revocations
	r.mu.Lock()
	defer r.mu.Unlock()
	r.feeds = append(r.feeds, stats)
}

// ObserveEvents adds the state of a [auth0grpcevents.Monitor] to the metrics, for the
// lifetime of the MeterProvider. Several monitors add up; the longest lag and delay and
// the latest event count.
func (t *Telemetry) ObserveEvents(monitor *auth0grpcevents.Monitor) {
	r := &t.revocations
	r.mu.Lock()
	defer r.mu.Unlock()
	r.monitors = append(r.monitors, monitor)
}

// instrument creates the instruments and registers their callback.
func (r *revocations) instrument(meter metric.Meter) error {
	var errs []error
	level := func(name, unit, description string) metric.Int64ObservableUpDownCounter {
		i, err := meter.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return i
	}
	gauge := func(name, description string) metric.Float64ObservableGauge {
		i, err := meter.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
		errs = append(errs, err)
		return i
	}
	counter := func(name, unit, description string) metric.Int64ObservableCounter {
		i, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return i
	}
	r.feedConnected = level("auth0grpc.feed.connected", "{feed}", "Revocation feeds whose last read succeeded.")
	r.feedEntries = level("auth0grpc.feed.entries", "{entry}", "Revocations of the feed that are kept in memory.")
	r.feedTrimFailing = level("auth0grpc.feed.trim_failing", "{feed}", "Revocation feeds whose last trim failed, so that the stream grows.")
	r.feedLag = gauge("auth0grpc.feed.lag", "Time since the revocation feed was last read to its end.")
	r.feedLastEntry = gauge("auth0grpc.feed.last_entry", "Unix time of the last revocation that was read.")
	r.feedGaps = counter("auth0grpc.feed.gaps", "{gap}", "Outages of the revocation feed, and losses in it.")
	r.feedRepublished = counter("auth0grpc.feed.republished", "{revocation}", "Revocations that were published again because the feed had lost them.")
	r.leaders = level("auth0grpc.events.leaders", "{process}", "Processes that follow the events of the tenant.")
	r.eventLag = gauge("auth0grpc.events.lag", "Time for which the leader has received nothing from Auth0, not even a heartbeat.")
	r.delay = gauge("auth0grpc.events.delay", "Time from the last event that revoked tokens to its publication.")
	r.lastEvent = gauge("auth0grpc.events.last_event", "Unix time of the latest event that revoked tokens.")
	r.received = counter("auth0grpc.events.received", "{event}", "Events of Auth0, by outcome.")
	r.outages = counter("auth0grpc.events.outages", "{outage}", "Outages of Auth0's events, of their store and of the feed.")
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := meter.RegisterCallback(r.observe, r.feedConnected, r.feedEntries, r.feedTrimFailing, r.feedLag, r.feedLastEntry,
		r.feedGaps, r.feedRepublished, r.leaders, r.eventLag, r.delay, r.lastEvent, r.received, r.outages)
	return err
}

func (r *revocations) observe(_ context.Context, o metric.Observer) error {
	r.mu.Lock()
	feeds, monitors := r.feeds, r.monitors // append-only
	r.mu.Unlock()
	if len(feeds) > 0 {
		r.observeFeeds(o, feeds)
	}
	if len(monitors) > 0 {
		r.observeEvents(o, monitors)
	}
	return nil
}

func (r *revocations) observeFeeds(o metric.Observer, feeds []func() FeedStats) {
	var connected, entries, failing, gaps, republished int
	var lag time.Duration
	var last time.Time
	for _, stats := range feeds {
		s := stats()
		connected += count(s.Connected)
		failing += count(s.TrimError != nil)
		entries, gaps, republished = entries+s.Entries, gaps+s.Gaps, republished+s.Republished
		lag, last = max(lag, s.Lag), latest(last, s.LastEntry)
	}
	o.ObserveInt64(r.feedConnected, int64(connected))
	o.ObserveInt64(r.feedEntries, int64(entries))
	o.ObserveInt64(r.feedTrimFailing, int64(failing))
	o.ObserveInt64(r.feedGaps, int64(gaps))
	o.ObserveInt64(r.feedRepublished, int64(republished))
	o.ObserveFloat64(r.feedLag, lag.Seconds())
	observeTime(o, r.feedLastEntry, last)
}

func (r *revocations) observeEvents(o metric.Observer, monitors []*auth0grpcevents.Monitor) {
	var leaders int
	var lag, delay time.Duration
	var last time.Time
	var outages uint64
	received := map[string]uint64{}
	for _, monitor := range monitors {
		s := monitor.Stats()
		leaders += count(s.Leader)
		lag, delay, last = max(lag, s.Lag), max(delay, s.Delay), latest(last, s.LastEvent)
		outages += s.Outages
		for outcome, n := range map[string]uint64{
			"revoked": s.Revoked, "unrelated": s.Unrelated, "duplicate": s.Duplicates, "test": s.Tests, "unknown": s.Unknown,
			"malformed": s.Malformed, "other_tenant": s.OtherTenant, "unauthenticated": s.Refused,
		} {
			received[outcome] += n
		}
	}
	o.ObserveInt64(r.leaders, int64(leaders))
	o.ObserveInt64(r.outages, int64(outages))
	o.ObserveFloat64(r.eventLag, lag.Seconds())
	o.ObserveFloat64(r.delay, delay.Seconds())
	observeTime(o, r.lastEvent, last)
	for outcome, n := range received {
		o.ObserveInt64(r.received, int64(n), metric.WithAttributes(eventOutcomeKey.String(outcome)))
	}
}

// observeTime observes a time in Unix seconds. There is no point for the zero time.
func observeTime(o metric.Observer, gauge metric.Float64Observable, at time.Time) {
	if !at.IsZero() {
		o.ObserveFloat64(gauge, float64(at.UnixMilli())/1000)
	}
}

func count(holds bool) int {
	if holds {
		return 1
	}
	return 0
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
