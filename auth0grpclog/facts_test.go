package auth0grpclog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpclog"
)

// factsLine returns the line about a decision, or "".
func factsLine(d auth0grpc.Decision) string {
	var lines bytes.Buffer
	log := auth0grpclog.New(auth0grpclog.Config{
		Logger: slog.New(slog.DiscardHandler),
		Facts:  slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
	})
	log.OnDecision(context.Background(), d)
	return lines.String()
}

// Each field of Facts is in the record, and ParseLine reads it back.
func TestFactsRoundTrip(t *testing.T) {
	everything := auth0grpc.Facts{
		ReportOnly: auth0grpc.ReportOnlyTable, Refused: auth0grpc.ReasonMalformedAuthorization, Code: codes.Unauthenticated,
		Verified: true, DPoPScheme: true, DPoP: true, MTLS: true, Scopes: []string{"read:orders", "<&>"}, Permissions: []string{"p"},
		ClientID: "desk", OrganizationID: "org_a", Actor: "agt_1", Delegated: true, Anonymous: true,
		MetRules: []string{`same(org_id = claim "https://x")`}, UnmetRule: "relation(viewer, order:{id})",
	}
	decision := func(f auth0grpc.Facts) auth0grpc.Decision {
		return auth0grpc.Decision{
			FullMethod: method, Row: "/orders.v1.Orders/*", Outcome: auth0grpc.OutcomeRefused, Reason: auth0grpc.ReasonMalformedAuthorization,
			Policy: "0d4eb9a8c4f7a4a9", Facts: &f,
		}
	}
	for name, facts := range map[string]auth0grpc.Facts{
		"all": everything, "none": {}, "no token": {Refused: auth0grpc.ReasonMissingToken, Code: codes.Unauthenticated},
		"left": {Code: codes.Canceled, ReportOnly: auth0grpc.ReportOnlyEverything},
	} {
		want := decision(facts)
		got, err := auth0grpclog.ParseLine([]byte(factsLine(want)))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	const want = `{"level":"INFO","msg":"auth0grpc: decision","auth0grpc.decision":{"version":1,"method":"/orders.v1.Orders/Get",` +
		`"row":"/orders.v1.Orders/*","outcome":"refused","reason":"MALFORMED_AUTHORIZATION","policy":"0d4eb9a8c4f7a4a9","report_only":"table",` +
		`"refused":"MALFORMED_AUTHORIZATION","code":16,"verified":true,"dpop_scheme":true,"dpop":true,"mtls":true,"delegated":true,"anonymous":true,` +
		`"client_id":"desk","organization_id":"org_a","actor":"agt_1","scopes":["read:orders","<&>"],"permissions":["p"],` +
		`"met_rules":["same(org_id = claim \"https://x\")"],"unmet_rule":"relation(viewer, order:{id})"}}` + "\n"
	const least = `{"level":"INFO","msg":"auth0grpc: decision","auth0grpc.decision":{"version":1,"method":"/orders.v1.Orders/Get","outcome":"allowed"}}` + "\n"
	for want, d := range map[string]auth0grpc.Decision{
		want:  decision(everything),
		least: {FullMethod: method, Outcome: auth0grpc.OutcomeAllowed, Facts: new(auth0grpc.Facts)},
	} {
		if got := factsLine(d); got != want {
			t.Errorf("another form needs another version:\n got %s\nwant %s", got, want)
		}
	}
	for _, unknown := range []auth0grpc.ReportOnlyMode{-1, auth0grpc.ReportOnlyEverything + 1} {
		if got := factsLine(decision(auth0grpc.Facts{ReportOnly: unknown})); strings.Contains(got, "report_only") {
			t.Errorf("mode %d: %s", unknown, got)
		}
	}
}

// The record has nothing about the caller but the facts.
func TestFactsLeaveOut(t *testing.T) {
	line := factsLine(auth0grpc.Decision{
		FullMethod: method, Outcome: auth0grpc.OutcomeAllowed, Subject: "auth0|leak", ClientID: "leak", Issuer: "leak", Actor: "leak", KeyID: "leak",
		Peer: "leak", UnverifiedClientID: "leak", UnverifiedAudience: "leak", Facts: &auth0grpc.Facts{Verified: true},
	})
	if line == "" || strings.Contains(line, "leak") {
		t.Errorf("the record has more than facts: %s", line)
	}
}

// Decisions about open streams have no facts and no record. Decisions on calls without
// facts lead to one warning: without it an operator would find an empty log.
func TestFactsAreMissing(t *testing.T) {
	var lines, facts bytes.Buffer
	log := auth0grpclog.New(auth0grpclog.Config{Logger: slog.New(slog.NewTextHandler(&lines, nil)), Facts: slog.New(slog.NewJSONHandler(&facts, nil))})
	log.OnDecision(t.Context(), auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeEnded})
	log.OnDecision(t.Context(), auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeReported})
	if strings.Contains(lines.String(), "RecordFacts") {
		t.Errorf("a warning about a stream: %s", lines.String())
	}
	for range 3 {
		log.OnDecision(t.Context(), auth0grpc.Decision{Row: method, Outcome: auth0grpc.OutcomeAllowed})
	}
	if n := strings.Count(lines.String(), "set RecordFacts"); n != 1 || facts.Len() > 0 {
		t.Errorf("%d warnings, want 1; facts %q", n, facts.String())
	}
}

// A record is bounded. Beyond the bound it says so, and its facts are incomplete. A scope
// that no rule can name is left out: it has no effect.
func TestFactsAreBounded(t *testing.T) {
	many := func(n, size int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%0*d", size, i))
		}
		return all
	}
	long := strings.Repeat("x", 257)
	for name, test := range map[string]struct {
		change    func(*auth0grpc.Decision)
		truncated string
		whole     bool
	}{
		"a scope of 256 bytes":  {change: func(d *auth0grpc.Decision) { d.Facts.Scopes = many(1, 256) }, whole: true},
		"8 KiB of permissions":  {change: func(d *auth0grpc.Decision) { d.Facts.Permissions = many(32, 256) }, whole: true},
		"each end of the texts": {change: func(d *auth0grpc.Decision) { d.Facts.ClientID, d.Facts.Scopes = " ~", []string{"!", "~"} }, whole: true},
		"a rule with escapes":   {change: func(d *auth0grpc.Decision) { d.Facts.MetRules = []string{"same", "\x1b[2J"} }, truncated: `["met_rules"]`},
		"200 scopes":            {change: func(d *auth0grpc.Decision) { d.Facts.Scopes = many(200, 40) }, whole: true},
		"201 scopes":            {change: func(d *auth0grpc.Decision) { d.Facts.Scopes = many(201, 5) }, truncated: `["scopes"]`},
		"9 KiB of permissions":  {change: func(d *auth0grpc.Decision) { d.Facts.Permissions = many(36, 256) }, truncated: `["permissions"]`},
		"a million":             {change: func(d *auth0grpc.Decision) { d.Facts.Scopes = many(1_000_000, 6) }, truncated: `["scopes"]`},
		"a long scope":          {change: func(d *auth0grpc.Decision) { d.Facts.Scopes = []string{"a", long} }, truncated: `["scopes"]`},
		"a long method":         {change: func(d *auth0grpc.Decision) { d.FullMethod = "/a.B/" + long }, truncated: `["method"]`},
		"a method with escapes": {change: func(d *auth0grpc.Decision) { d.FullMethod = "/a.B/\x1b[2J" }, truncated: `["method"]`},
		"client and actor": {change: func(d *auth0grpc.Decision) { d.Facts.ClientID, d.Facts.Actor = long, "a\nb" },
			truncated: `["client_id","actor"]`},
		"an organization with another letter": {change: func(d *auth0grpc.Decision) { d.Facts.OrganizationID = "org_é" }, truncated: `["organization_id"]`},
		"rules":                               {change: func(d *auth0grpc.Decision) { d.Facts.MetRules = many(201, 5) }, truncated: `["met_rules"]`},
		"all lists": {change: func(d *auth0grpc.Decision) {
			names := many(200, 40)
			d.Facts.Scopes, d.Facts.Permissions = names, names
			for range 200 {
				d.Facts.MetRules = append(d.Facts.MetRules, strings.Repeat(`"`, 40))
			}
		}, whole: true},
		"already":        {change: func(d *auth0grpc.Decision) { d.Facts.Incomplete = true }, truncated: `["facts"]`},
		"strange scopes": {change: func(d *auth0grpc.Decision) { d.Facts.Scopes = []string{"\x00\n", `"`, "é", ""} }, whole: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := auth0grpc.Decision{FullMethod: method, Outcome: auth0grpc.OutcomeAllowed, Facts: &auth0grpc.Facts{Verified: true}}
			test.change(&d)
			line := factsLine(d)
			if len(line) > 40<<10 {
				t.Errorf("%d bytes", len(line))
			}
			if test.truncated != "" && !strings.Contains(line, `"truncated":`+test.truncated) {
				t.Errorf("want truncated %s: %.300s", test.truncated, line)
			}
			got, err := auth0grpclog.ParseLine([]byte(line))
			if err != nil || got.Facts.Incomplete == test.whole {
				t.Errorf("%v, incomplete %t", err, got.Facts.Incomplete)
			}
			candidate, err := auth0grpc.NewCandidate(map[string]auth0grpc.Rule{method: auth0grpc.Public()})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := candidate.Decide(got.FullMethod, got.Facts); (err == nil) != test.whole {
				t.Errorf("decision: %v", err)
			}
		})
	}
}

// A stranger, without a valid token, adds at most 1 KiB a call.
func TestFactsOfStrangersAreShort(t *testing.T) {
	line := factsLine(auth0grpc.Decision{
		FullMethod: "/a.B/" + strings.Repeat("\"", 251), Row: "/orders.v1.Orders/*", Outcome: auth0grpc.OutcomeRefused, Reason: auth0grpc.ReasonMalformedAuthorization,
		Policy: "0d4eb9a8c4f7a4a9",
		Facts:  &auth0grpc.Facts{Refused: auth0grpc.ReasonMalformedAuthorization, Code: codes.Unauthenticated, ReportOnly: auth0grpc.ReportOnlyEverything},
	})
	if len(line) > 1<<10 || strings.Contains(line, "truncated") {
		t.Errorf("%d bytes: %s", len(line), line)
	}
}

const goodRecord = `{"version":1,"method":"/a.B/C","outcome":"allowed","verified":true}`

func TestParseLineRefuses(t *testing.T) {
	inLine := func(record string) string { return `{"level":"INFO","auth0grpc.decision":` + record + `}` }
	var version *auth0grpclog.VersionError
	noDecision := func(err error) bool { return errors.Is(err, auth0grpclog.ErrNoDecision) }
	otherVersion := func(err error) bool {
		return errors.As(err, &version) && version.Version == 2 && strings.Contains(err.Error(), "version 2")
	}
	damaged := func(err error) bool { return err != nil && !noDecision(err) && !errors.As(err, &version) }
	for line, is := range map[string]func(error) bool{
		inLine(goodRecord): func(err error) bool { return err == nil },
		"  " + inLine(strings.Replace(goodRecord, "{", `{ "row" : "\u002fa.B/C",`, 1)) + "\r": func(err error) bool { return err == nil },
		"":                                     noDecision,
		"panic: runtime error":                 noDecision,
		`{"level":"INFO","msg":"x"}`:           noDecision,
		`[1]`:                                  noDecision,
		`{"msg":"auth0grpc.decision"}`:         noDecision,
		`{"other":` + inLine(goodRecord) + `}`: noDecision,
		`{"time":"2031-03-14T15:09:26Z","level":"INFO","msg":"auth0grp`:                     damaged,
		` {"time":"2031-03-14T15:09:26Z","level":"INFO","msg":"auth0grp`:                    damaged,
		"{\"level\":\"INFO\"}\r\n":                                                          noDecision,
		inLine(`{"version":1,"outcome":"allowed","verified":false}`):                        func(err error) bool { return err == nil },
		inLine(`{"version":1,"outcome":"allowed","report_only":"off"}`):                     func(err error) bool { return err == nil },
		inLine(`{"version":2,"version":2}`):                                                 damaged,
		inLine(goodRecord)[:60]:                                                             damaged,
		inLine(goodRecord) + "x":                                                            damaged,
		inLine(goodRecord) + inLine(goodRecord):                                             damaged,
		`{"auth0grpc.decision":` + goodRecord + `,"auth0grpc.decision":` + goodRecord + `}`: damaged,
		inLine(`[]`):              damaged,
		inLine(`null`):            damaged,
		inLine(`{}`):              damaged,
		inLine(`{"version":0}`):   damaged,
		inLine(`{"version":"1"}`): damaged,
		inLine(`{"version":99999999999999999999}`):                            damaged,
		inLine(`{"version":1.0}`):                                             damaged,
		inLine(`{"version":1}`):                                               damaged,
		inLine(`{"version":2}`):                                               otherVersion,
		inLine(`{"new":true,"version":2}`):                                    otherVersion,
		inLine(`{"version":1,"version":2}`):                                   damaged,
		inLine(`{"version":1,"outcome":"ended"}`):                             damaged,
		inLine(`{"version":1,"outcome":"allowed","code":17}`):                 damaged,
		inLine(`{"version":1,"outcome":"allowed","code":"16"}`):               damaged,
		inLine(`{"version":1,"outcome":"allowed","report_only":"x"}`):         damaged,
		inLine(`{"version":1,"outcome":"allowed","report_only":1}`):           damaged,
		inLine(`{"version":1,"outcome":"allowed","verified":1}`):              damaged,
		inLine(`{"version":1,"outcome":"allowed","scopes":"a"}`):              damaged,
		inLine(`{"version":1,"outcome":"allowed","method":["a"]}`):            damaged,
		inLine(`{"version":1,"outcome":"allowed","truncated":true}`):          damaged,
		inLine(`{"version":1,"outcome":"allowed","Method":"/a.B/C"}`):         damaged,
		inLine(`{"version":1,"outcome":"allowed","unknown":"\u001b[2J"}`):     damaged,
		inLine("{\"version\":1,\"outcome\":\"allowed\",\"method\":\"\xff\"}"): damaged,
	} {
		d, err := auth0grpclog.ParseLine([]byte(line))
		if !is(err) {
			t.Errorf("%s: %v", line, err)
		}
		if err != nil && (d.Facts != nil || strings.ContainsAny(err.Error(), "\x1b\n")) {
			t.Errorf("%s: %+v, %q", line, d, err)
		}
	}
}

// A line that ParseLine accepts leads to the same decision after it was written again.
func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"auth0grpc.decision":` + goodRecord + `}`))
	f.Add([]byte(`{"auth0grpc.decision":{"version":1,"method":"/a.B/C","outcome":"refused","refused":"MISSING_TOKEN","code":16,"report_only":"table"}}`))
	f.Add([]byte(`{"auth0grpc.decision":{"version":1,"method":"/a.B/D","outcome":"reported","verified":true,"dpop":true,"dpop_scheme":true,"mtls":true,"delegated":true,"anonymous":true,"scopes":["a","b"],"permissions":["p"],"client_id":"c","organization_id":"org_a","actor":"x","met_rules":["same(id = subject)"],"unmet_rule":"u","truncated":["row"]}}`))
	f.Add([]byte(`{"auth0grpc.decision":{"version":2}}`))
	f.Add([]byte(`{"level":"INFO","msg":"other"}`))
	candidate, err := auth0grpc.NewCandidate(map[string]auth0grpc.Rule{
		"/a.B/C": auth0grpc.AnyOf(auth0grpc.Scopes("a", "b"), auth0grpc.Clients("c"), auth0grpc.Permissions("p"), auth0grpc.ActedBy("x")).ReportOnly(),
		"/a.B/*": auth0grpc.AllOf(auth0grpc.NotDelegated(), auth0grpc.Organizations("org_a")).RequireDPoP().AllowAnonymous(),
		"/a.C/*": auth0grpc.Authenticated().Same("id", auth0grpc.ClaimSubject), "/a.D/*": auth0grpc.Optional(), "/a.E/*": auth0grpc.Public(),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		d, err := auth0grpclog.ParseLine(line)
		if err != nil {
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("unprintable error %q", err)
			}
			return
		}
		again, err := auth0grpclog.ParseLine([]byte(factsLine(d)))
		if err != nil {
			t.Fatalf("%q: %v after %+v was written", line, err, d)
		}
		first, firstErr := candidate.Decide(d.FullMethod, d.Facts)
		second, secondErr := candidate.Decide(again.FullMethod, again.Facts)
		if again.Facts.Incomplete {
			if secondErr == nil {
				t.Errorf("%q: a decision on incomplete facts", line)
			}
			return
		}
		if first != second || (firstErr == nil) != (secondErr == nil) {
			t.Errorf("%q: %+v, %v; after it was written %+v, %v", line, first, firstErr, second, secondErr)
		}
		ignored := cmpopts.IgnoreFields(auth0grpc.Facts{}, "Scopes", "Permissions") // without names that no rule can have
		if diff := cmp.Diff(d, again, ignored, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q (-read +written):\n%s", line, diff)
		}
	})
}

// BenchmarkFacts measures a record of the second log.
func BenchmarkFacts(b *testing.B) {
	log := auth0grpclog.New(auth0grpclog.Config{Logger: slog.New(slog.DiscardHandler), Facts: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	d := auth0grpc.Decision{FullMethod: method, Row: method, Outcome: auth0grpc.OutcomeAllowed, Policy: "0d4eb9a8c4f7a4a9", Facts: &auth0grpc.Facts{
		Verified: true, ClientID: "desk", OrganizationID: "org_a", Scopes: []string{"read:orders", "write:orders"},
	}}
	b.ReportAllocs()
	for b.Loop() {
		log.OnDecision(b.Context(), d)
	}
}

// BenchmarkParseLine measures the reading of a record.
func BenchmarkParseLine(b *testing.B) {
	line := []byte(factsLine(auth0grpc.Decision{FullMethod: method, Row: method, Outcome: auth0grpc.OutcomeAllowed, Policy: "0d4eb9a8c4f7a4a9", Facts: &auth0grpc.Facts{
		Verified: true, ClientID: "desk", OrganizationID: "org_a", Scopes: []string{"read:orders", "write:orders"},
	}}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := auth0grpclog.ParseLine(line); err != nil {
			b.Fatal(err)
		}
	}
}
