// Package auth0grpclog writes the decisions of an [auth0grpc.Interceptor] to a
// slog.Logger, with repeated refusals sampled.
//
//	decisions := auth0grpclog.New(auth0grpclog.Config{Logger: logger})
//	config.OnDecision, config.OnKeyRefresh = decisions.OnDecision, decisions.OnKeyRefresh
//	defer decisions.Flush(context.Background())
//
// A function calls several hooks:
//
//	config.OnDecision = func(ctx context.Context, d auth0grpc.Decision) {
//		decisions.OnDecision(ctx, d)
//		telemetry.OnDecision(ctx, d)
//	}
//
// Debug is the level of success: allowed calls, streams that end by themselves,
// fetched keys, and callers that leave. Info is the level of refusals and of streams
// that the interceptor ends: everyday events of a working server. Warn asks for an
// operator: report-only let a call through, or keys are unavailable.
//
// A record names the caller by the attributes of [auth0grpc.LogFields]. With
// [auth0grpc.Config].DescribeRefused, the record of a refusal also has peer,
// unverified.client_id and unverified.audience: a stranger may have written the last
// two. The attribute row is the row that decided, or [Unlisted]. If there is a row, the
// attribute method is the full method. duration_ms is in milliseconds. No record holds
// a token.
//
// [Config].Facts turns on a second log, for "auth0grpc replay". It has the properties of
// each call that a table can depend on: the method, scopes, permissions, the client, the
// organization, the actor, bindings, and the results of rules about the message. It has no
// token, no proof, no secret, no subject, no address and no part of the message. The actor
// may be a person if an Action of Auth0 names one, and organizations may identify
// customers.
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
	"github.com/auth0grpc/auth0grpc/internal/printable"
)

// Unlisted is the row of calls that no row of the table covers. Their method is not
// logged: clients can invent method names.
const Unlisted = "unlisted"

// Config configures a [Log]. Every field has a default.
type Config struct {
	// Logger writes the records. Default: slog.Default() at the time of New.
	Logger *slog.Logger

	// Initial is the number of refusals of one kind (row, outcome, reason, code) that are
	// written one by one in each Interval. One record counts the rest. Default 10. If
	// negative, none is written one by one.
	Initial int

	// Interval is the time after which counting starts anew. Default one minute, also
	// for a value below one second: a number without a unit counts nanoseconds.
	Interval time.Duration

	// Facts receives one record for each decision on a call that has Facts, at level Info
	// and never sampled. Write it by a slog.JSONHandler to a file of its own: the command
	// "auth0grpc replay" reads that file, and so does [ParseLine]. It needs
	// [auth0grpc.Config].RecordFacts. Default nil.
	//
	// A record has at most 40 KiB, and at most 1 KiB for a call without a valid token, plus
	// the attributes of the logger. Rotate the file: any caller adds to it.
	Facts *slog.Logger

	// Now is the clock for intervals. Default time.Now.
	Now func() time.Time
}

// A Log writes decisions. It is safe for concurrent use, starts no goroutine and
// keeps a counter for each row of the table and reason at most.
type Log struct {
	config  Config
	logger  *slog.Logger
	dropped atomic.Bool // tallies count refusals that no record has reported
	warned  sync.Once   // that decisions have no facts

	mu      sync.Mutex
	since   time.Time // when the interval began
	tallies map[key]*tally
}

// A key identifies refusals that are counted together. Its values come from closed
// sets: the table's rows and constants.
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
	if config.Interval < time.Second {
		config.Interval = time.Minute
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Log{config: config, logger: config.Logger, tallies: map[key]*tally{}}
}

// OnDecision is a value for [auth0grpc.Config].OnDecision. The first decision of any
// kind after the interval also writes the numbers of sampled refusals, a record for
// each kind with the attribute dropped. Without another decision, [Log.Flush] writes
// them. No count is lost.
func (l *Log) OnDecision(ctx context.Context, d auth0grpc.Decision) {
	if l.config.Facts != nil {
		l.writeFacts(ctx, &d)
	}
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

// writeFacts writes the record with the facts of a call. What happens to an open stream
// has none.
func (l *Log) writeFacts(ctx context.Context, d *auth0grpc.Decision) {
	switch {
	case d.Facts != nil:
		l.config.Facts.LogAttrs(ctx, slog.LevelInfo, "auth0grpc: decision", newFactsRecord(d))
	case d.Outcome == auth0grpc.OutcomeAllowed || d.Outcome == auth0grpc.OutcomeRefused:
		l.warned.Do(func() {
			l.logger.WarnContext(ctx, "auth0grpc: Facts is set, but decisions have none: set RecordFacts in the Config of the Interceptor")
		})
	}
}

// OnKeyRefresh is a value for [auth0grpc.Config].OnKeyRefresh. It is not sampled:
// attempts to fetch keys are rare. A failure is a warning. A success is a debug record,
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

// Flush writes the numbers of refusals that were not written so far. Call it after the
// server has stopped.
func (l *Log) Flush(ctx context.Context) {
	l.mu.Lock()
	all := l.drain()
	l.mu.Unlock()
	l.writeSummaries(ctx, all)
}

func levelOf(d *auth0grpc.Decision) slog.Level {
	switch {
	case d.Reason == "": // allowed, ended by itself, or left by the caller
		return slog.LevelDebug
	case d.Outcome == auth0grpc.OutcomeReported, d.Reason == auth0grpc.ReasonKeysUnavailable:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

func keyOf(d *auth0grpc.Decision) key {
	return key{row: d.Row, outcome: d.Outcome, reason: d.Reason, code: d.Code}
}

// A summary counts the decisions of a kind that were not written since a time.
type summary struct {
	key     key
	dropped int
	since   time.Time
}

// rotate starts a new interval if the current one has ended, and returns the summaries
// of the old one. An interval that begins in the future has ended: the clock was set
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

// allow counts a decision and reports whether to write it.
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

// writeSummaries writes summaries without the lock: a handler may be slow.
func (l *Log) writeSummaries(ctx context.Context, all []summary) {
	for _, s := range all {
		d := auth0grpc.Decision{Row: s.key.row, Outcome: s.key.outcome, Reason: s.key.reason, Code: s.key.code}
		l.logger.LogAttrs(ctx, levelOf(&d), message(&d)+", more of the same",
			slog.String("row", rowOf(&d)), slog.String("reason", string(d.Reason)), slog.String("code", d.Code.String()),
			slog.Int("dropped", s.dropped), slog.Time("since", s.since))
	}
}

func (l *Log) write(ctx context.Context, level slog.Level, d *auth0grpc.Decision) {
	attrs := append(make([]slog.Attr, 0, 19), slog.String("row", rowOf(d)))
	method := printable.Cut(d.FullMethod, maxMethod)
	if d.Row == "" {
		method = ""
	}
	for _, attr := range []struct{ name, value string }{
		{"method", method},
		{"reason", string(d.Reason)},
		{"auth.subject", d.Subject},
		{"auth.client_id", d.ClientID},
		{"auth.issuer", d.Issuer},
		{"auth.organization_id", d.OrganizationID},
		{"auth.actor", d.Actor},
		{"policy", d.Policy},
		{"candidate.policy", d.Candidate.Policy},
		{"candidate.outcome", string(d.Candidate.Outcome)},
		{"candidate.reason", string(d.Candidate.Reason)},
		{"key_id", d.KeyID},
		{"peer", d.Peer},
		{"unverified.client_id", d.UnverifiedClientID},
		{"unverified.audience", d.UnverifiedAudience},
	} {
		if attr.value != "" {
			attrs = append(attrs, slog.String(attr.name, attr.value))
		}
	}
	if d.Code != codes.OK {
		attrs = append(attrs, slog.String("code", d.Code.String()))
	}
	attrs = append(attrs, slog.Bool("cache_hit", d.CacheHit), slog.Float64("duration_ms", float64(d.Duration)/float64(time.Millisecond)))
	l.logger.LogAttrs(ctx, level, message(d), attrs...)
}

// maxMethod bounds the method in a record, in bytes. A tap and a proxy decide on names
// that clients invented within a service that has a row.
const maxMethod = 128

func rowOf(d *auth0grpc.Decision) string { return cmp.Or(d.Row, Unlisted) }

// message describes the outcome. Attributes hold the values that differ by call.
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
