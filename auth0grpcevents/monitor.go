package auth0grpcevents

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// Stats describes [Follow] and [Webhook] at one moment.
type Stats struct {
	// Leader reports whether this process follows the tenant. In a fleet exactly one
	// process does. It stays false with Webhook alone.
	Leader bool

	// Connected reports whether the stream of the Events API is open.
	Connected bool

	// Lag is how long the leader has received nothing from the Events API, not even a
	// heartbeat. Blocked users of this time may still have access. It is 0 in the other
	// processes.
	Lag time.Duration

	// LastEvent is the time of the latest event that revoked tokens, by the clock of
	// Auth0, and Delay the time from the last one of them to its publication here, with
	// the difference of the clocks. Both are zero before the first.
	LastEvent time.Time
	Delay     time.Duration

	// Err has the failures of the current outages: of the Events API, of the Store and
	// of the RevocationFeed. It is nil on a healthy process.
	Err error

	Revoked     uint64 // events whose revocation is published
	Unrelated   uint64 // events that end no tokens
	Duplicates  uint64 // events that were published before
	Tests       uint64 // events that Auth0 sent to test the stream
	Unknown     uint64 // events of an unknown type or version, skipped
	Malformed   uint64 // events that lack a field or cannot be read, skipped
	OtherTenant uint64 // events of another tenant, refused
	Refused     uint64 // requests to Webhook without a valid secret
	Connections uint64 // connections to the Events API that were established
	Outages     uint64 // reported in the log
}

// A Monitor holds the Stats of all calls of [Follow] and [Webhook] whose [Config] has
// it. The zero value is ready for use. It is safe for concurrent use.
type Monitor struct {
	mu       sync.Mutex
	stats    Stats
	counts   [outcomes]uint64
	failures map[string]error // by the service that fails
	lastSign time.Time        // of the Events API, by the monotonic clock
}

// Stats returns the current state. It does no I/O.
func (m *Monitor) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	if s.Leader {
		s.Lag = time.Since(m.lastSign)
	}
	s.Revoked, s.Unrelated, s.Duplicates = m.counts[outcomeRevoked], m.counts[outcomeUnrelated], m.counts[outcomeDuplicate]
	s.Tests, s.Unknown = m.counts[outcomeTest], m.counts[outcomeUnknown]
	s.Malformed, s.OtherTenant = m.counts[outcomeMalformed], m.counts[outcomeOtherTenant]
	for _, name := range slices.Sorted(maps.Keys(m.failures)) {
		s.Err = errors.Join(s.Err, m.failures[name])
	}
	return s
}

func (m *Monitor) count(result outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[result]++
}

// update changes the state under the lock.
func (m *Monitor) update(change func(*Stats)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.stats)
}

func (m *Monitor) noteLeader(leads bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stats.Leader, m.stats.Connected, m.lastSign = leads, false, time.Now()
}

// noteSign notes that the Events API has sent something.
func (m *Monitor) noteSign() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastSign = time.Now()
}

func (m *Monitor) noteRevoked(event, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if event.After(m.stats.LastEvent) {
		m.stats.LastEvent = event
	}
	m.stats.Delay = now.Sub(event)
}

// logInterval is the shortest time between two lines about one kind of bad event.
const logInterval = time.Minute

// maxLogKinds bounds the kinds. Every kind is a text of this package.
const maxLogKinds = 256

// A limitedLog logs each kind of bad event at most once in logInterval.
type limitedLog struct {
	logger *slog.Logger

	mu    sync.Mutex
	kinds map[string]*logKind
}

type logKind struct {
	last    time.Time
	omitted int // since the last line
}

func (l *limitedLog) warn(ctx context.Context, text, kind string, args ...any) {
	l.mu.Lock()
	if l.kinds == nil || len(l.kinds) > maxLogKinds {
		l.kinds = map[string]*logKind{}
	}
	k := l.kinds[kind]
	if k == nil {
		k = &logKind{}
		l.kinds[kind] = k
	}
	now := time.Now()
	if !k.last.IsZero() && now.Sub(k.last) < logInterval {
		k.omitted++
		l.mu.Unlock()
		return
	}
	omitted := k.omitted
	k.last, k.omitted = now, 0
	l.mu.Unlock()
	l.logger.WarnContext(ctx, text, append(args, "omitted", omitted)...)
}

// noteFailure sets the failure of a service; nil ends it.
func (m *Monitor) noteFailure(service string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		delete(m.failures, service)
		return
	}
	if m.failures == nil {
		m.failures = map[string]error{}
	}
	m.failures[service] = err
}

// An outage reports a failure of a service once, when it begins, and its end.
type outage struct {
	config  *Config
	service string

	mu    sync.Mutex
	since time.Time
}

func (o *outage) begin(ctx context.Context, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.config.Monitor.noteFailure(o.service, err)
	if !o.since.IsZero() {
		return
	}
	o.since = time.Now()
	o.config.Monitor.update(func(s *Stats) { s.Outages++ })
	o.config.Logger.WarnContext(ctx, "auth0grpcevents: "+o.service+" failed; revocations may be late until it recovers",
		"tenant", o.config.Tenant, "error", err)
}

func (o *outage) end(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return
	}
	o.config.Monitor.noteFailure(o.service, nil)
	o.config.Logger.InfoContext(ctx, "auth0grpcevents: "+o.service+" recovered",
		"tenant", o.config.Tenant, "after", time.Since(o.since).Round(time.Millisecond))
	o.since = time.Time{}
}
