package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpclog"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/policy"
)

const replayLog, replayNew = "testdata/replay/decisions.jsonl", "testdata/replay/new.json"

func TestReplayOutput(t *testing.T) {
	const allowed = "/orders.v1.Orders/Refund /orders.v1.Admin/Reset,/orders.v1.Orders/Export"
	for _, test := range []struct {
		golden string
		args   []string
		status int
	}{
		{"replay/text", nil, exitFaults},
		{"replay/allowed", []string{"-allow", allowed, "-allow", "/orders.v1.Orders/Get"}, exitOK},
		{"replay/json", []string{"-json", "-allow", "/orders.v1.Admin/Reset"}, exitFaults},
	} {
		t.Run(test.golden, func(t *testing.T) {
			args := append([]string{"replay", "-log", replayLog, "-policy", replayNew}, test.args...)
			status, stdout, stderr := command(t, nil, args...)
			if status != test.status || stderr != "" {
				t.Errorf("status %d, want %d; stderr %q", status, test.status, stderr)
			}
			golden(t, test.golden+".golden", stdout)
		})
	}
	text, err := os.ReadFile(replayLog)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/replay/text.golden")
	if err != nil {
		t.Fatal(err)
	}
	_, stdout, _ := commandWithInput(t, string(text), nil, "replay", "-log", "-", "-policy", replayNew)
	if diff := cmp.Diff(string(want), stdout); diff != "" {
		t.Errorf("by standard input (-file +input):\n%s", diff)
	}
}

// The page shows the output.
func TestReplayPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/changing-a-policy.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/replay/text.golden")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```text\n"+string(text)+"```") {
		t.Errorf("docs/changing-a-policy.md does not have\n%s", text)
	}
}

// Colours only add to the text.
func TestReplayColors(t *testing.T) {
	r, err := replay(t.Context(), nil, replayLog, []string{replayNew}, []string{"/orders.v1.Admin/Reset"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var plain, colored bytes.Buffer
	if err := r.writeText(&plain, false); err != nil {
		t.Fatal(err)
	}
	if err := r.writeText(&colored, true); err != nil {
		t.Fatal(err)
	}
	text := colored.String()
	for _, want := range []string{colorRed + "newly allowed" + colorNone, colorYellow + "newly allowed (allowed)" + colorNone, colorRed + "undecided" + colorNone} {
		if !strings.Contains(text, want) {
			t.Errorf("has no %q:\n%q", want, text)
		}
	}
	for _, color := range []string{colorRed, colorGreen, colorYellow, colorNone} {
		text = strings.ReplaceAll(text, color, "")
	}
	if diff := cmp.Diff(plain.String(), text); diff != "" {
		t.Errorf("the text differs (-plain +coloured):\n%s", diff)
	}
}

// replayLine returns a line of a log.
func replayLine(record string) string {
	return `{"time":"2031-03-14T15:09:26Z","level":"INFO","msg":"auth0grpc: decision","auth0grpc.decision":{"version":1,` + record + "}}\n"
}

func TestReplayStatus(t *testing.T) {
	good := replayLine(`"method":"/a.B/C","row":"/a.B/C","outcome":"allowed","verified":true,"client_id":"desk"`)
	refused := replayLine(`"method":"/a.B/C","row":"/a.B/C","outcome":"refused","reason":"INSUFFICIENT_SCOPE","verified":true,"client_id":"desk"`)
	truncated := replayLine(`"method":"/a.B/C","outcome":"refused","verified":true,"truncated":["scopes"]`)
	streamed := replayLine(`"method":"/a.B/M","outcome":"allowed","verified":true`)
	table := file(t, `{"methods": {"/a.B/C": {"authenticated": true}, "/a.B/M": {"authenticated": true, "same": {"field": "id", "claim": "SUBJECT"}}}}`)
	strict := file(t, `{"methods": {"/a.B/C": {"scopes": ["x"]}}}`)
	faulty := file(t, "{\"methods\": {\n  \"/a.B/C\": {\"scopes\": [\"\"]},\n  \"x\": {\"public\": true}}}")
	withLog := func(log string, more ...string) []string {
		return append([]string{"replay", "-log", file(t, log), "-policy", table}, more...)
	}
	for _, test := range []statusTest{
		{"unchanged", withLog(good), exitOK, "1 call: 1 unchanged"},
		{"newly refused alone", []string{"replay", "-log", file(t, good), "-policy", strict}, exitOK, "allowed -> refused INSUFFICIENT_SCOPE"},
		{"newly allowed", withLog(good + refused), exitFaults, "Review 1 call"},
		{"newly allowed, and named", withLog(good+refused, "-allow", "/a.B/C"), exitOK, "newly allowed (allowed)"},
		{"another one is named", withLog(good+refused, "-allow", "/a.B/D"), exitFaults, "-allow /a.B/D: no call of the method is newly allowed"},
		{"truncated", withLog(good + truncated), exitFaults, "left out facts"},
		{"truncated, and named", withLog(good+truncated, "-allow", "/a.B/C"), exitOK, "undecided (allowed)"},
		{"a message that is not known", withLog(good + streamed), exitOK, "a rule about the message that was not evaluated"},
		{"lines of others", withLog("x\n" + good + "\n\n{\"msg\":1}"), exitOK, "2 lines of the log skipped"},
		{"damaged", withLog(good + good[:40] + "\n" + good), exitUsage, ":2: the line is cut off"},
		{"damaged, and newly allowed", withLog(good[:100] + "\n" + refused), exitFaults, ":1: the record is damaged"},
		{"another version", withLog(good + "\n" + strings.Replace(good, `"version":1`, `"version":7`, 1)), exitUsage,
			":3: the record is of version 7, want version 1; use the command of the release that wrote the log"},
		{"no decisions", withLog("{}\n"), exitUsage, "the log has no decision"},
		{"empty", withLog(""), exitUsage, "the log has no decision"},
		{"no log", []string{"replay", "-policy", table}, exitUsage, "want -log and -policy"},
		{"no policy", []string{"replay", "-log", table}, exitUsage, "want -log and -policy"},
		{"an argument", withLog(good, "x"), exitUsage, "want no arguments"},
		{"an unknown flag", withLog(good, "-x"), exitUsage, "-x"},
		{"help", []string{"replay", "-h"}, exitOK, "Usage: auth0grpc replay"},
		{"no such log", []string{"replay", "-log", table + "x", "-policy", table}, exitUsage, "no such file"},
		{"the first fault of the policy", []string{"replay", "-log", table, "-policy", faulty}, exitUsage, faulty + ":2:"},
		{"the second fault of the policy", []string{"replay", "-log", table, "-policy", faulty}, exitUsage, faulty + ":3:"},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, nil) })
	}
}

// A log of any content takes bounded memory, and the totals and the status stay exact.
func TestReplayIsBounded(t *testing.T) {
	table := file(t, `{"methods": {"/a.B/*": {"authenticated": true}}}`)
	const extra = 500
	pipe, log := io.Pipe()
	go func() {
		for n := range maxReplayKeys + extra {
			fmt.Fprint(log, replayLine(fmt.Sprintf(`"method":"/a.B/M%d","row":"/a.B/*","outcome":"refused","verified":true`, n)))
		}
		fmt.Fprint(log, strings.Repeat("x", 3*maxReplayLine)+"\n")
		fmt.Fprint(log, replayLine(`"method":"`+strings.Repeat("x", 3*maxReplayLine)+`"`))
		fmt.Fprint(log, replayLine(`"method":"/a.B/`+strings.Repeat("x", maxReplayLine/2)+`","outcome":"refused","verified":true,"client_id":"\u001b[2J"`))
		log.Close()
	}()
	r, err := replay(t.Context(), nil, "-", []string{table}, nil, pipe)
	if err != nil {
		t.Fatal(err)
	}
	if r.Decisions != maxReplayKeys+extra+1 || r.Review != r.Decisions || r.Counts[newlyAllowed] != r.Decisions ||
		len(r.Changes) != maxReplayKeys || r.Others != extra+1 || r.SkippedLines != 1 || r.DamagedLines != 1 {
		t.Errorf("%d decisions, %d to review, %d groups and %d others, %d skipped, %d damaged",
			r.Decisions, r.Review, len(r.Changes), r.Others, r.SkippedLines, r.DamagedLines)
	}
	var text bytes.Buffer
	if err := r.writeText(&text, false); err != nil || !strings.Contains(text.String(), "501 calls in further groups") {
		t.Errorf("%v, %.2000s", err, text.String())
	}
	r = &replayReport{Log: "log", candidate: r.candidate}
	if err := r.read(strings.NewReader(replayLine(`"method":"/a.B/` + strings.Repeat("x", 10_000) + `","outcome":"refused","verified":true,"client_id":"\u001b[2J"`))); err != nil {
		t.Fatal(err)
	}
	r.finish()
	if g := r.Changes[0]; len(g.Method) > 300 || strings.Contains(g.Client, "\x1b") {
		t.Errorf("group %+v", g)
	}
}

// A reader that blocks does not outlive an interrupt.
func TestReplayIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	pipe, log := io.Pipe()
	defer log.Close()
	go func() {
		fmt.Fprintln(log, "{}")
		cancel()
	}()
	if _, err := replay(ctx, nil, "-", []string{replayNew}, nil, pipe); err == nil {
		t.Error("no error")
	}
}

// Each line of a log counts once, with any content.
func FuzzReplay(f *testing.F) {
	text, err := os.ReadFile(replayLog)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("{\"auth0grpc.decision\"\n\n\r\nx"))
	methods, err := readTables(f.Context(), []string{replayNew})
	if err != nil {
		f.Fatal(err)
	}
	candidate, err := auth0grpc.NewCandidate(methods)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		r := &replayReport{candidate: candidate}
		if r.read(bytes.NewReader(log)) != nil {
			return
		}
		r.finish()
		lines := 0
		for line := range bytes.SplitSeq(log, []byte("\n")) {
			if len(bytes.TrimSpace(line)) > 0 {
				lines++
			}
		}
		counted := 0
		for _, n := range r.Counts {
			counted += n
		}
		if counted != r.Decisions || r.Decisions+r.SkippedLines+r.DamagedLines != lines {
			t.Errorf("%d decisions of %d counted, %d skipped and %d damaged of %d lines", r.Decisions, counted, r.SkippedLines, r.DamagedLines, lines)
		}
		var out bytes.Buffer
		if err := r.writeText(&out, false); err != nil || bytes.ContainsFunc(out.Bytes(), func(c rune) bool { return c < ' ' && c != '\n' || c > '~' }) {
			t.Errorf("%v, unprintable output %q", err, out.Bytes())
		}
	})
}

// replayTables has rows of each kind for a unary method and a stream.
func replayTables() []map[string]auth0grpc.Rule {
	const unary, stream = testgrpc.TestService_EmptyCall_FullMethodName, testgrpc.TestService_FullDuplexCall_FullMethodName
	tables := []map[string]auth0grpc.Rule{
		{"/other.Service/Method": auth0grpc.Public()},
		{unary: auth0grpc.Scopes("read:orders"), "/grpc.testing.TestService/*": auth0grpc.Permissions("p")},
	}
	for _, rule := range []auth0grpc.Rule{
		auth0grpc.Public(), auth0grpc.Optional(), auth0grpc.Authenticated(), auth0grpc.Authenticated().AllowAnonymous(), auth0grpc.Authenticated().RequireDPoP(),
		auth0grpc.AnyScope("read:orders", "admin").ReportOnly(), auth0grpc.Scopes("read:orders", "admin"), auth0grpc.Organizations("org_a"), auth0grpc.NotDelegated(),
		auth0grpc.AllOf(auth0grpc.Clients("desk"), auth0grpc.AnyOf(auth0grpc.ActedBy("agt_1"), auth0grpc.AnyPermission("p", "q"))),
	} {
		tables = append(tables, map[string]auth0grpc.Rule{unary: rule, stream: rule})
	}
	return tables
}

// The replay of the log of a server reports the differences that its candidate reported,
// call by call, for unary calls and streams over a connection.
func TestReplayEqualsTheCandidate(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	var tokens []string
	for _, claims := range []map[string]any{
		{}, {"scope": "read:orders"}, {"scope": "read:orders admin"}, {"permissions": []string{"p"}, "azp": "desk"}, {"org_id": "org_a"},
		{"act": map[string]any{"sub": "agt_1"}, "azp": "desk"}, {"act": map[string]any{"sub": "agt_1", "iss": "https://other.example/"}},
		{"sub": "anon@1", "scope": "admin"}, {"aud": "https://other.example"}, {"exp": 1, "iat": 0},
	} {
		tokens = append(tokens, "Bearer "+tenant.Token(claims))
	}
	tokens = append(tokens, "", "Bearer x", tokens[1]+"AAAA")
	tables := replayTables()
	for n, live := range tables {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var mu sync.Mutex
			var lines bytes.Buffer
			var want []auth0grpc.Decision
			log := auth0grpclog.New(auth0grpclog.Config{Logger: slog.New(slog.DiscardHandler), Facts: slog.New(slog.NewJSONHandler(&lines, nil))})
			guard, err := auth0grpc.New(auth0grpc.Config{
				Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(), Methods: live,
				DPoP:   auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example"}},
				Logger: slog.New(slog.DiscardHandler), RecordFacts: true,
				OnDecision: func(ctx context.Context, d auth0grpc.Decision) {
					mu.Lock()
					defer mu.Unlock()
					log.OnDecision(ctx, d)
					if d.Outcome != auth0grpc.OutcomeEnded {
						want = append(want, d)
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			conn := serveReplay(t, guard)
			for _, candidate := range tables {
				if err := guard.SetCandidate(candidate); err != nil {
					t.Fatal(err)
				}
				for _, token := range tokens {
					callReplay(t, conn, token)
				}
				mu.Lock()
				compareReplay(t, candidate, lines.String(), want)
				lines.Reset()
				want = nil
				mu.Unlock()
			}
		})
	}
}

// serveReplay returns a connection to a server.
func serveReplay(t *testing.T, guard *auth0grpc.Interceptor) *grpc.ClientConn {
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, replayService{})
	listener := bufconn.Listen(1 << 16)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///replay", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

type replayService struct {
	testgrpc.UnimplementedTestServiceServer
}

func (replayService) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

func (replayService) FullDuplexCall(testgrpc.TestService_FullDuplexCallServer) error { return nil }

// callReplay makes a unary call and opens a stream, and waits for the end of both.
func callReplay(t *testing.T, conn *grpc.ClientConn, token string) {
	ctx := t.Context()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", token)
	}
	client := testgrpc.NewTestServiceClient(conn)
	_, _ = client.EmptyCall(ctx, &testgrpc.Empty{})
	if stream, err := client.FullDuplexCall(ctx); err == nil {
		_, _ = stream.Recv()
	}
}

// compareReplay runs the command on the log, and compares its groups with the decisions.
func compareReplay(t *testing.T, candidate map[string]auth0grpc.Rule, log string, decisions []auth0grpc.Decision) {
	t.Helper()
	text, err := policy.Marshal(candidate)
	if err != nil {
		t.Fatal(err)
	}
	table := file(t, string(text))
	status, stdout, stderr := commandWithInput(t, log, nil, "replay", "-json", "-log", "-", "-policy", table)
	var report replayReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("status %d, %v, %s", status, err, stderr)
	}
	got, want := map[string]int{}, map[string]int{}
	for _, c := range report.Changes {
		got[c.Method+" "+c.effect()] += c.Calls
	}
	loosened := false
	for _, d := range decisions {
		if c := d.Candidate; c.Outcome != "" {
			g := replayGroup{Old: d.Outcome, OldReason: d.Reason, New: c.Outcome, NewReason: c.Reason}
			want[d.FullMethod+" "+g.effect()]++
			loosened = loosened || d.Outcome == auth0grpc.OutcomeRefused
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || report.Decisions != len(decisions) {
		t.Errorf("%d decisions of %d; candidate %v (-candidate +replay):\n%s", report.Decisions, len(decisions), candidate, diff)
	}
	if (status == exitFaults) != loosened {
		t.Errorf("status %d, want a status of %t", status, loosened)
	}
	if n := report.Counts[undecided]; n > 0 || !slices.Contains([]int{exitOK, exitFaults}, status) {
		t.Errorf("%d undecided, status %d", n, status)
	}
}

// BenchmarkReplay measures a line of a log.
func BenchmarkReplay(b *testing.B) {
	methods, err := readTables(b.Context(), []string{replayNew})
	if err != nil {
		b.Fatal(err)
	}
	r := &replayReport{}
	if r.candidate, err = auth0grpc.NewCandidate(methods); err != nil {
		b.Fatal(err)
	}
	line := []byte(replayLine(`"method":"/orders.v1.Orders/Refund","row":"/orders.v1.Orders/Refund","outcome":"refused","reason":"INSUFFICIENT_SCOPE",` +
		`"policy":"3c8e2f70a1b94d55","verified":true,"client_id":"desk","organization_id":"org_a","scopes":["refund:orders","read:orders"]`))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.addLine(1, line); err != nil {
			b.Fatal(err)
		}
	}
}
