// Package auth0grpclog writes the decisions of an [auth0grpc.Interceptor] to a
// slog.Logger, and not more of them than a disk can bear.
//
//	decisions := auth0grpclog.New(auth0grpclog.Config{Logger: logger})
//	config.OnDecision, config.OnKeyRefresh = decisions.OnDecision, decisions.OnKeyRefresh
//	defer decisions.Flush(context.Background())
//
// Where more than one is to be told, a function tells both:
//
//	config.OnDecision = func(ctx context.Context, d auth0grpc.Decision) {
//		decisions.OnDecision(ctx, d)
//		telemetry.OnDecision(ctx, d)
//	}
//
// Levels: Debug for what went well (allowed, a stream that ended by itself, keys
// that were fetched, a caller that left); Info for refusals and for streams that
// we ended, which are everyday events of a server that does its work; Warn for
// what wants a person: a call that report-only let through, and keys that cannot
// be had.
//
// A record says who called, by the attributes that auth0grpc.LogFields uses, and
// the method by the row that decided, or [Unlisted]: a name that a client made up
// is nothing for a log. It never holds a token.
package auth0grpclog

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc"
)

// Unlisted stands for the method where no row of the table covers it.
const Unlisted = "unlisted"

// Config says where decisions are written, and how many. Every field has a
// default.
type Config struct {
	// Logger writes the records. Default: slog.Default() at the time of New.
	Logger *slog.Logger

	// Initial is how many refusals of one kind (row, outcome, reason) are written one
	// by one in each Interval; of the rest one record tells the number. Default 10.
	// If negative, none is written one by one.
	Initial int

	// Interval is the time in which Initial are written. Default one minute, also for
	// a negative one.
	Interval time.Duration

	// Now is the clock by which intervals are told. Default time.Now.
	Now func() time.Time
}

// A Log writes decisions. It is safe for concurrent use, starts no goroutine and
// keeps a counter for each row of the table and reason at most.
type Log struct {
	config  Config
	logger  *slog.Logger
	dropped atomic.Bool // something is in tallies that no record has told

	mu      sync.Mutex
	since   time.Time // when the interval began
	tallies map[key]*tally
}

// A key is what refusals have in common that are written together. All of it
// comes from closed sets: the table's rows and constants.
type key struct {
	row     string
	outcome auth0grpc.Outcome
	reason  auth0grpc.Reason
	code    codes.Code
}

type tally struct{ written, dropped int }

// New returns a Log.
func New(config Config) *Log {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Initial == 0 {
		config.Initial = 10
	}
	if config.Interval <= 0 {
		config.Interval = time.Minute
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Log{config: config, logger: config.Logger, tallies: map[key]*tally{}}
}

// OnDecision is a value for Config.OnDecision. The number of what was not written
// is told by a record of its own, with the attribute dropped, as soon as there is
// another decision after the interval, of whatever kind: no count is lost, though
// without another decision Flush has to tell it.
func (l *Log) OnDecision(ctx context.Context, d auth0grpc.Decision) {
	level := levelOf(&d)
	enabled := l.logger.Enabled(ctx, level)
	sampled := enabled && level > slog.LevelDebug
	if sampled || l.dropped.Load() {
		l.writeSummaries(ctx, l.rotate(l.config.Now()))
	}
	if !enabled || sampled && !l.allow(keyOf(&d)) {
		return
	}
	l.write(ctx, level, &d)
}

// OnKeyRefresh is a value for Config.OnKeyRefresh. It is not sampled: attempts to
// fetch keys are far between. A failure is a warning. A success is a debug record,
// or an info record if keys of the issuer are not used, which it lists.
func (l *Log) OnKeyRefresh(r auth0grpc.KeyRefresh) {
	level, message := slog.LevelDebug, "auth0grpc: keys fetched"
	attrs := []slog.Attr{slog.String("auth.issuer", r.Issuer), slog.Int("keys", r.Keys)}
	if len(r.Unused) > 0 {
		level, message = slog.LevelInfo, "auth0grpc: keys fetched, some are not used"
		attrs = append(attrs, slog.Any("unused", unusedKeys(r)))
	}
	if r.Err != nil {
		level, message = slog.LevelWarn, "auth0grpc: keys could not be fetched"
		attrs = append(attrs, slog.String("error", r.Err.Error()))
	}
	l.logger.LogAttrs(context.Background(), level, message, attrs...)
}

// unusedKeys returns one text for each unused key.
func unusedKeys(r auth0grpc.KeyRefresh) []string {
	var texts []string
	for _, key := range r.Unused {
		id := "without kid"
		if key.KeyID != "" {
			id = strconv.Quote(key.KeyID)
		}
		texts = append(texts, "key "+id+": "+key.Reason)
	}
	if r.Omitted > 0 {
		texts = append(texts, "and "+strconv.Itoa(r.Omitted)+" more")
	}
	return texts
}

// Flush writes the numbers of what was not written so far. Call it when the
// server has stopped.
func (l *Log) Flush(ctx context.Context) {
	l.mu.Lock()
	all := l.drain()
	l.mu.Unlock()
	l.writeSummaries(ctx, all)
}

func levelOf(d *auth0grpc.Decision) slog.Level {
	switch {
	case d.Reason == "": // allowed, ended by itself, or the caller left
		return slog.LevelDebug
	case d.Outcome == auth0grpc.OutcomeReported, d.Reason == auth0grpc.ReasonKeysUnavailable:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func keyOf(d *auth0grpc.Decision) key {
	return key{row: d.Row, outcome: d.Outcome, reason: d.Reason, code: d.Code}
}

// A summary is how many decisions of a kind were not written since a time.
type summary struct {
	key     key
	dropped int
	since   time.Time
}

// rotate ends the interval if it is over at the time now, and returns what is to
// be told of it. An interval that begins in the future is over: the clock was set
// back.
func (l *Log) rotate(now time.Time) []summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	if elapsed := now.Sub(l.since); elapsed >= 0 && elapsed < l.config.Interval {
		return nil
	}
	all := l.drain()
	l.since = now
	return all
}

// drain empties the tallies. The caller holds mu.
func (l *Log) drain() []summary {
	var all []summary
	for k, t := range l.tallies {
		if t.dropped > 0 {
			all = append(all, summary{k, t.dropped, l.since})
		}
	}
	clear(l.tallies)
	l.dropped.Store(false)
	slices.SortFunc(all, func(a, b summary) int {
		return cmp.Or(cmp.Compare(a.key.row, b.key.row), cmp.Compare(a.key.outcome, b.key.outcome),
			cmp.Compare(a.key.reason, b.key.reason), cmp.Compare(a.key.code, b.key.code))
	})
	return all
}

// allow counts a decision and reports whether it is to be written.
func (l *Log) allow(k key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tallies[k]
	if t == nil {
		t = &tally{}
		l.tallies[k] = t
	}
	if t.written < l.config.Initial {
		t.written++
		return true
	}
	t.dropped++
	l.dropped.Store(true)
	return false
}

// writeSummaries writes summaries, outside of the lock: a handler may be slow.
func (l *Log) writeSummaries(ctx context.Context, all []summary) {
	for _, s := range all {
		d := auth0grpc.Decision{Row: s.key.row, Outcome: s.key.outcome, Reason: s.key.reason, Code: s.key.code}
		l.logger.LogAttrs(ctx, levelOf(&d), message(&d)+", more of the same",
			slog.String("method", methodOf(&d)), slog.String("reason", string(d.Reason)), slog.String("code", d.Code.String()),
			slog.Int("dropped", s.dropped), slog.Time("since", s.since))
	}
}

func (l *Log) write(ctx context.Context, level slog.Level, d *auth0grpc.Decision) {
	attrs := append(make([]slog.Attr, 0, 10), slog.String("method", methodOf(d)))
	for _, attr := range []struct{ name, value string }{
		{"reason", string(d.Reason)},
		{"auth.subject", d.Subject},
		{"auth.client_id", d.ClientID},
		{"auth.issuer", d.Issuer},
		{"auth.organization_id", d.OrganizationID},
		{"key_id", d.KeyID},
	} {
		if attr.value != "" {
			attrs = append(attrs, slog.String(attr.name, attr.value))
		}
	}
	if d.Code != codes.OK {
		attrs = append(attrs, slog.String("code", d.Code.String()))
	}
	attrs = append(attrs, slog.Bool("cache_hit", d.CacheHit), slog.Duration("duration", d.Duration))
	l.logger.LogAttrs(ctx, level, message(d), attrs...)
}

func methodOf(d *auth0grpc.Decision) string { return cmp.Or(d.Row, Unlisted) }

// message words the outcome; what differs from call to call is in attributes.
func message(d *auth0grpc.Decision) string {
	switch d.Outcome {
	case auth0grpc.OutcomeAllowed:
		return "auth0grpc: call allowed"
	case auth0grpc.OutcomeReported:
		return "auth0grpc: call let through by report-only"
	case auth0grpc.OutcomeEnded:
		return "auth0grpc: stream ended"
	}
	return "auth0grpc: call refused"
}
