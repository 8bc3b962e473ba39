package auth0grpclog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpclog"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const method = "/orders.v1.Orders/Get"

var start = time.Date(2031, time.March, 14, 15, 9, 26, 0, time.UTC)

// A journal is a Log that a test reads back, and its clock.
type journal struct {
	*auth0grpclog.Log
	lines bytes.Buffer
	now   time.Time
}

// newJournal returns a journal that keeps records of the level and above.
func newJournal(level slog.Level, config auth0grpclog.Config) *journal {
	j := &journal{now: start}
	config.Logger = slog.New(slog.NewJSONHandler(&j.lines, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}))
	config.Now = func() time.Time { return j.now }
	j.Log = auth0grpclog.New(config)
	return j
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

type record = map[string]any

// take returns the records since the last take.
func (j *journal) take(t *testing.T) []record {
	t.Helper()
	var all []record
	decoder := json.NewDecoder(&j.lines)
	for {
		var one record
		switch err := decoder.Decode(&one); {
		case err == io.EOF:
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, one)
	}
}

func (j *journal) check(t *testing.T, want ...record) {
	t.Helper()
	if diff := cmp.Diff(want, j.take(t)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func refused(reason auth0grpc.Reason) auth0grpc.Decision {
	return auth0grpc.Decision{
		FullMethod: method, Row: method, Outcome: auth0grpc.OutcomeRefused,
		Reason: reason, Code: codes.Unauthenticated, Duration: time.Microsecond,
	}
}

func TestRecords(t *testing.T) {
	for _, test := range []struct {
		name     string
		decision auth0grpc.Decision
		want     record
	}{
		{
			"allowed",
			auth0grpc.Decision{
				FullMethod: method, Row: method, Outcome: auth0grpc.OutcomeAllowed, Subject: "auth0|1", ClientID: "app",
				Issuer: "https://t.example.com/", OrganizationID: "org_a", KeyID: "k1", CacheHit: true, Duration: time.Microsecond,
			},
			record{
				"level": "DEBUG", "msg": "auth0grpc: call allowed", "row": method, "method": method, "auth.subject": "auth0|1", "auth.client_id": "app",
				"auth.issuer": "https://t.example.com/", "auth.organization_id": "org_a", "key_id": "k1", "cache_hit": true, "duration_ms": 0.001,
			},
		},
		{
			"refused", refused(auth0grpc.ReasonMissingToken),
			record{
				"level": "INFO", "msg": "auth0grpc: call refused", "row": method, "method": method, "reason": "MISSING_TOKEN",
				"code": "Unauthenticated", "cache_hit": false, "duration_ms": 0.001,
			},
		},
		{
			"row of a service",
			auth0grpc.Decision{FullMethod: "/orders.v1.Orders/\n" + strings.Repeat("x", 200), Row: "/orders.v1.Orders/*", Outcome: auth0grpc.OutcomeAllowed},
			record{
				"level": "DEBUG", "msg": "auth0grpc: call allowed", "row": "/orders.v1.Orders/*",
				"method": "/orders.v1.Orders/?" + strings.Repeat("x", 109) + "...", "cache_hit": false, "duration_ms": 0.0,
			},
		},
		{
			"described",
			auth0grpc.Decision{
				FullMethod: method, Row: method, Outcome: auth0grpc.OutcomeRefused, Reason: auth0grpc.ReasonWrongAudience, Code: codes.Unauthenticated,
				Peer: "192.0.2.1:5", UnverifiedClientID: "app", UnverifiedAudience: "https://other.example.com", Duration: 1500 * time.Microsecond,
			},
			record{
				"level": "INFO", "msg": "auth0grpc: call refused", "row": method, "method": method, "reason": "WRONG_AUDIENCE",
				"code": "Unauthenticated", "peer": "192.0.2.1:5", "unverified.client_id": "app",
				"unverified.audience": "https://other.example.com", "cache_hit": false, "duration_ms": 1.5,
			},
		},
		{
			"unlisted",
			auth0grpc.Decision{FullMethod: "/made.up/Method\n", Outcome: auth0grpc.OutcomeRefused, Reason: auth0grpc.ReasonMethodNotListed, Code: codes.PermissionDenied},
			record{
				"level": "INFO", "msg": "auth0grpc: call refused", "row": "unlisted", "reason": "METHOD_NOT_LISTED",
				"code": "PermissionDenied", "cache_hit": false, "duration_ms": 0.0,
			},
		},
		{
			"no keys",
			auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeRefused, Reason: auth0grpc.ReasonKeysUnavailable, Code: codes.Unavailable},
			record{
				"level": "WARN", "msg": "auth0grpc: call refused", "row": method, "reason": "KEYS_UNAVAILABLE",
				"code": "Unavailable", "cache_hit": false, "duration_ms": 0.0,
			},
		},
		{
			"reported",
			auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeReported, Reason: auth0grpc.ReasonInsufficientScope, Code: codes.PermissionDenied, Subject: "auth0|1"},
			record{
				"level": "WARN", "msg": "auth0grpc: call let through by report-only", "row": method, "reason": "INSUFFICIENT_SCOPE",
				"code": "PermissionDenied", "auth.subject": "auth0|1", "cache_hit": false, "duration_ms": 0.0,
			},
		},
		{
			"the caller left",
			auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeRefused, Code: codes.Canceled},
			record{"level": "DEBUG", "msg": "auth0grpc: call refused", "row": method, "code": "Canceled", "cache_hit": false, "duration_ms": 0.0},
		},
		{
			"a stream ended by itself",
			auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeEnded, Duration: time.Microsecond},
			record{"level": "DEBUG", "msg": "auth0grpc: stream ended", "row": method, "cache_hit": false, "duration_ms": 0.001},
		},
		{
			"a stream ended by us",
			auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeEnded, Reason: auth0grpc.ReasonTokenExpired, Code: codes.Unauthenticated},
			record{
				"level": "INFO", "msg": "auth0grpc: stream ended", "row": method, "reason": "TOKEN_EXPIRED",
				"code": "Unauthenticated", "cache_hit": false, "duration_ms": 0.0,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			j := newJournal(slog.LevelDebug, auth0grpclog.Config{})
			j.OnDecision(t.Context(), test.decision)
			j.check(t, test.want)
		})
	}
}

func TestKeyRefresh(t *testing.T) {
	j := newJournal(slog.LevelDebug, auth0grpclog.Config{})
	j.OnKeyRefresh(auth0grpc.KeyRefresh{Issuer: "https://t.example.com/", Keys: 2})
	j.OnKeyRefresh(auth0grpc.KeyRefresh{Issuer: "https://t.example.com/", Keys: 2, Err: errors.New("keyset: status 503")})
	j.OnKeyRefresh(auth0grpc.KeyRefresh{Issuer: "https://t.example.com/", Keys: 2, Omitted: 7, Unused: []auth0grpc.UnusedKey{
		{KeyID: "k\"1", Reason: "for encryption"}, {Reason: "no kid"},
	}})
	j.check(t,
		record{"level": "DEBUG", "msg": "auth0grpc: keys fetched", "auth.issuer": "https://t.example.com/", "keys": 2.0},
		record{"level": "WARN", "msg": "auth0grpc: keys could not be fetched", "auth.issuer": "https://t.example.com/", "keys": 2.0, "error": "keyset: status 503"},
		record{"level": "INFO", "msg": "auth0grpc: keys fetched, some are not used", "auth.issuer": "https://t.example.com/", "keys": 2.0,
			"unused": []any{`key "k\"1": for encryption`, "key without kid: no kid", "and 7 more"}})
}

// written are the levels and reasons of the records, and the dropped of summaries.
func written(records []record) (all []string) {
	for _, r := range records {
		text := fmt.Sprint(r["row"], " ", r["reason"])
		if r["dropped"] != nil {
			text += fmt.Sprintf(" and %v more since %v", r["dropped"], r["since"])
		}
		all = append(all, text)
	}
	return all
}

func (j *journal) checkWritten(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, written(j.take(t))); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// The first of a kind are written, the rest are counted, and the next decision
// after the interval tells the number before anything else.
func TestSampling(t *testing.T) {
	j := newJournal(slog.LevelInfo, auth0grpclog.Config{Initial: 2, Interval: time.Minute})
	missing, expired := refused(auth0grpc.ReasonMissingToken), refused(auth0grpc.ReasonTokenExpired)
	other := missing
	other.Row = "/orders.v1.Orders/*"
	for range 5 {
		j.OnDecision(t.Context(), missing)
	}
	j.OnDecision(t.Context(), expired)
	j.OnDecision(t.Context(), other)
	j.checkWritten(t, method+" MISSING_TOKEN", method+" MISSING_TOKEN", method+" TOKEN_EXPIRED", "/orders.v1.Orders/* MISSING_TOKEN")
	j.now = start.Add(59 * time.Second)
	j.OnDecision(t.Context(), missing)
	j.checkWritten(t)
	j.now = start.Add(time.Minute)
	j.OnDecision(t.Context(), expired)
	j.checkWritten(t, method+" MISSING_TOKEN and 4 more since 2031-03-14T15:09:26Z", method+" TOKEN_EXPIRED")
	j.OnDecision(t.Context(), missing)
	j.checkWritten(t, method+" MISSING_TOKEN")
	j.now = start.Add(3 * time.Minute)
	j.OnDecision(t.Context(), missing)
	j.checkWritten(t, method+" MISSING_TOKEN")
}

// The next decision writes the number, even if it is not written itself; without one,
// Flush writes it.
func TestDroppedIsTold(t *testing.T) {
	allowed := auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeAllowed}
	for name, tell := range map[string]func(*journal){
		"by an allowed call":          func(j *journal) { j.now = start.Add(time.Hour); j.OnDecision(t.Context(), allowed) },
		"after the clock is set back": func(j *journal) { j.now = start.Add(-time.Hour); j.OnDecision(t.Context(), allowed) },
		"by Flush":                    func(j *journal) { j.Flush(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			j := newJournal(slog.LevelInfo, auth0grpclog.Config{Initial: -1})
			for range 3 {
				j.OnDecision(t.Context(), refused(auth0grpc.ReasonMissingToken))
				j.OnDecision(t.Context(), allowed)
			}
			j.checkWritten(t)
			tell(j)
			j.checkWritten(t, method+" MISSING_TOKEN and 3 more since 2031-03-14T15:09:26Z")
			tell(j)
			j.checkWritten(t)
		})
	}
}

// A decision of the zero Config goes to the default logger of the time of New. The
// first ten of a kind are written in each minute.
func TestDefaults(t *testing.T) {
	var lines bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewJSONHandler(&lines, nil)))
	now := start
	log := auth0grpclog.New(auth0grpclog.Config{Interval: 60, Now: func() time.Time { return now }})
	slog.SetDefault(before)
	check := func(want int) {
		t.Helper()
		if got := bytes.Count(lines.Bytes(), []byte("\n")); got != want {
			t.Errorf("%d records, want %d", got, want)
		}
	}
	for range 12 {
		log.OnDecision(t.Context(), refused(auth0grpc.ReasonMissingToken))
	}
	check(10)
	now = start.Add(time.Minute - 1)
	log.OnDecision(t.Context(), refused(auth0grpc.ReasonMissingToken))
	check(10)
	now = start.Add(time.Minute)
	log.OnDecision(t.Context(), refused(auth0grpc.ReasonMissingToken))
	check(12) // a summary of three, and the first of the next interval
}

func TestIntervalIsAsConfigured(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, time.Hour} {
		j := newJournal(slog.LevelInfo, auth0grpclog.Config{Initial: 1, Interval: interval})
		j.OnDecision(t.Context(), refused(auth0grpc.ReasonMissingToken))
		j.checkWritten(t, method+" MISSING_TOKEN")
		j.now = start.Add(interval - 1)
		j.OnDecision(t.Context(), refused(auth0grpc.ReasonMissingToken))
		j.checkWritten(t)
		j.now = start.Add(interval)
		j.OnDecision(t.Context(), refused(auth0grpc.ReasonMissingToken))
		j.checkWritten(t, method+" MISSING_TOKEN and 1 more since 2031-03-14T15:09:26Z", method+" MISSING_TOKEN")
	}
}

// Records of level Debug are all written: a logger of that level wants each call.
func TestDebugIsNotSampled(t *testing.T) {
	j := newJournal(slog.LevelDebug, auth0grpclog.Config{Initial: -1})
	for range 3 {
		j.OnDecision(t.Context(), auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeAllowed})
	}
	j.Flush(t.Context())
	j.checkWritten(t, method+" <nil>", method+" <nil>", method+" <nil>")
}

// Each summary has the level and the message of the decisions that it counts, and
// decisions that differ in row, outcome, reason or code are counted apart. The
// order is by row, outcome, reason and code.
func TestSummaries(t *testing.T) {
	j := newJournal(slog.LevelInfo, auth0grpclog.Config{Initial: -1})
	const row, otherRow = "/a.B/C", "/a.B/D"
	decisions := []auth0grpc.Decision{
		{Row: otherRow, Outcome: auth0grpc.OutcomeRefused, Reason: auth0grpc.ReasonMissingToken, Code: codes.Unauthenticated},
		{Row: row, Outcome: auth0grpc.OutcomeRefused, Reason: auth0grpc.ReasonTokenExpired, Code: codes.Unauthenticated},
		{Row: row, Outcome: auth0grpc.OutcomeRefused, Reason: auth0grpc.ReasonTokenExpired, Code: codes.PermissionDenied},
		{Row: row, Outcome: auth0grpc.OutcomeRefused, Reason: auth0grpc.ReasonMissingToken, Code: codes.Unauthenticated},
		{Row: row, Outcome: auth0grpc.OutcomeReported, Reason: auth0grpc.ReasonTokenExpired, Code: codes.Unauthenticated},
		{Row: row, Outcome: auth0grpc.OutcomeEnded, Reason: auth0grpc.ReasonTokenExpired, Code: codes.Unauthenticated},
	}
	for n, d := range decisions {
		for range n + 1 {
			j.OnDecision(t.Context(), d)
		}
	}
	j.Flush(t.Context())
	summary := func(level, message, method, reason, code string, dropped float64) record {
		return record{
			"level": level, "msg": "auth0grpc: " + message + ", more of the same", "row": method, "reason": reason,
			"code": code, "dropped": dropped, "since": "2031-03-14T15:09:26Z",
		}
	}
	j.check(t,
		summary("INFO", "stream ended", row, "TOKEN_EXPIRED", "Unauthenticated", 6),
		summary("INFO", "call refused", row, "MISSING_TOKEN", "Unauthenticated", 4),
		summary("INFO", "call refused", row, "TOKEN_EXPIRED", "PermissionDenied", 3),
		summary("INFO", "call refused", row, "TOKEN_EXPIRED", "Unauthenticated", 2),
		summary("WARN", "call let through by report-only", row, "TOKEN_EXPIRED", "Unauthenticated", 5),
		summary("INFO", "call refused", otherRow, "MISSING_TOKEN", "Unauthenticated", 1))
}

// A record below the logger's level is neither written nor counted.
func TestLevelIsOff(t *testing.T) {
	j := newJournal(slog.LevelWarn, auth0grpclog.Config{Initial: -1})
	j.OnDecision(t.Context(), refused(auth0grpc.ReasonMissingToken))
	j.Flush(t.Context())
	j.checkWritten(t)
}

// No count is lost among goroutines and intervals.
func TestCountsAreExact(t *testing.T) {
	var lines, clock sync.Mutex
	now, told := start, 0
	handler := counting(func(dropped int) {
		lines.Lock()
		defer lines.Unlock()
		told += dropped
	})
	log := auth0grpclog.New(auth0grpclog.Config{Logger: slog.New(handler), Initial: 3, Interval: time.Second, Now: func() time.Time {
		clock.Lock()
		defer clock.Unlock()
		now = now.Add(10 * time.Millisecond)
		return now
	}})
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 1000 {
				log.OnDecision(t.Context(), refused(auth0grpc.ReasonMissingToken))
			}
		})
	}
	callers.Wait()
	log.Flush(t.Context())
	if told != 8000 {
		t.Errorf("told of %d refusals, want 8000", told)
	}
}

// counting is called with the number of decisions that a record stands for.
type counting func(int)

func (counting) Enabled(context.Context, slog.Level) bool { return true }
func (h counting) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h counting) WithGroup(string) slog.Handler          { return h }

func (h counting) Handle(_ context.Context, r slog.Record) error {
	n := 1
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "dropped" {
			n = int(a.Value.Int64())
		}
		return true
	})
	h(n)
	return nil
}

// A flood of methods that a client made up is one kind, and its log is short and
// holds neither the names nor the tokens.
func TestFlood(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	j := newJournal(slog.LevelDebug, auth0grpclog.Config{Initial: 3})
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods:    map[string]auth0grpc.Rule{method: auth0grpc.Authenticated()},
		OnDecision: j.OnDecision,
	})
	if err != nil {
		t.Fatal(err)
	}
	token := tenant.Token(nil)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+token))
	for n := range 1000 {
		info := &grpc.UnaryServerInfo{FullMethod: fmt.Sprintf("/made.up/Method%d", n)}
		_, _ = guard.UnaryServerInterceptor()(ctx, nil, info, nil)
	}
	j.Flush(t.Context())
	text := j.lines.String()
	if n := strings.Count(text, "\n"); n != 4 || !strings.Contains(text, `"dropped":997`) {
		t.Errorf("%d lines, want 3 and one that tells of 997:\n%s", n, text)
	}
	for part := range strings.SplitSeq(token, ".") {
		if strings.Contains(text, part) || strings.Contains(text, "made.up") {
			t.Errorf("the log holds what came over the wire:\n%s", text)
		}
	}
}

func BenchmarkOnDecision(b *testing.B) {
	for _, test := range []struct {
		name     string
		decision auth0grpc.Decision
	}{
		{"allowed", auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeAllowed}},
		{"flood", refused(auth0grpc.ReasonMissingToken)},
	} {
		b.Run(test.name, func(b *testing.B) {
			log := auth0grpclog.New(auth0grpclog.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
			b.ReportAllocs()
			for b.Loop() {
				log.OnDecision(b.Context(), test.decision)
			}
		})
	}
}

// A number without a unit counts nanoseconds, which would switch sampling off. New
// returns no error, so "Config.Interval" has its default then.
func TestNumbersWithoutUnit(t *testing.T) {
	j := newJournal(slog.LevelInfo, auth0grpclog.Config{Initial: 1, Interval: 60})
	for range 3 {
		j.OnDecision(t.Context(), refused(auth0grpc.ReasonMissingToken))
		j.now = j.now.Add(time.Second)
	}
	j.checkWritten(t, method+" MISSING_TOKEN")
}
