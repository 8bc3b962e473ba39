package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// series are the label values of each time series name, as Prometheus sees them.
type series map[string]map[string]map[string]bool

func (s series) add(name string, pairs []*dto.LabelPair) {
	if s[name] == nil {
		s[name] = map[string]map[string]bool{}
	}
	for _, pair := range pairs {
		values := s[name][pair.GetName()]
		if values == nil {
			values = map[string]bool{}
			s[name][pair.GetName()] = values
		}
		values[pair.GetValue()] = true
	}
}

// emitted makes the calls of the program and returns its exporter's metrics.
func emitted(t *testing.T) series {
	t.Helper()
	shop, err := open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer shop.close()
	if err := shop.outage(t.Context()); err != nil {
		t.Fatal(err)
	}
	shop.calls(t.Context())
	all := gather(t, shop.metrics)
	for !all["auth0grpc_decisions_total"]["auth0grpc_outcome"]["ended"] && t.Context().Err() == nil {
		runtime.Gosched() // a client may see the end of a stream before the server has told of it
		all = gather(t, shop.metrics)
	}
	for _, name := range []string{"job", "instance", "le"} { // of Prometheus itself, and of buckets
		for _, labels := range all {
			labels[name] = nil
		}
	}
	return all
}

func gather(t *testing.T, metrics prometheus.Gatherer) series {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := series{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			names := []string{family.GetName()}
			if family.GetType() == dto.MetricType_HISTOGRAM {
				names = []string{names[0] + "_bucket", names[0] + "_sum", names[0] + "_count"}
			}
			for _, name := range names {
				all.add(name, m.GetLabel())
			}
		}
	}
	return all
}

var promQL = parser.NewParser(parser.Options{})

// check asserts that an expression uses only emitted metrics.
func (s series) check(t *testing.T, where, expr string) {
	t.Helper()
	for _, fault := range s.faults(expr) {
		t.Errorf("%s: %s\n%s", where, fault, expr)
	}
}

// faults returns the parts of an expression that are not emitted: names, labels, and
// values compared for equality.
func (s series) faults(expr string) []string {
	parsed, err := promQL.ParseExpr(strings.NewReplacer("$__rate_interval", "5m", "$job", ".*").Replace(expr))
	if err != nil {
		return []string{err.Error()}
	}
	var all []string
	known := map[string]bool{} // labels of the series in the expression
	for _, selector := range nodesOf[*parser.VectorSelector](parsed) {
		all = append(all, s.faultsOf(selector)...)
		for label := range s[selector.Name] {
			known[label] = true
		}
	}
	for _, aggregate := range nodesOf[*parser.AggregateExpr](parsed) {
		for _, label := range aggregate.Grouping {
			if !known[label] {
				all = append(all, fmt.Sprintf("groups by %s, which none of its series has", label))
			}
		}
	}
	return all
}

func nodesOf[T parser.Node](root parser.Node) (all []T) {
	parser.Inspect(root, func(node parser.Node, _ []parser.Node) error {
		if one, ok := node.(T); ok {
			all = append(all, one)
		}
		return nil
	})
	return all
}

func (s series) faultsOf(selector *parser.VectorSelector) (all []string) {
	has, ok := s[selector.Name]
	if !ok {
		return []string{fmt.Sprintf("%s is not emitted; there are %q", selector.Name, slices.Sorted(maps.Keys(s)))}
	}
	for _, matcher := range selector.LabelMatchers {
		if matcher.Name == model.MetricNameLabel {
			continue
		}
		values, ok := has[matcher.Name]
		if !ok {
			all = append(all, fmt.Sprintf("%s has no label %s", selector.Name, matcher.Name))
			continue
		}
		exact := matcher.Type == labels.MatchEqual || matcher.Type == labels.MatchNotEqual
		if exact && matcher.Value != "" && !values[matcher.Value] {
			all = append(all, fmt.Sprintf("%s is never %q, but one of %q", matcher.Name, matcher.Value, slices.Sorted(maps.Keys(values))))
		}
	}
	return all
}

func TestRules(t *testing.T) {
	all, checked := emitted(t), rules(t)
	for _, rule := range checked {
		all.check(t, rule.Alert, rule.Expr)
	}
	if len(checked) != 4 {
		t.Errorf("%d alerts, want 4", len(checked))
	}
}

// rules returns the rules of the file.
func rules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile("rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// As strict as promtool: unknown fields, durations and templates are looked at.
	groups, errs := rulefmt.Parse(text, false, model.LegacyValidation, promQL, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	var all []rulefmt.Rule
	if groups != nil {
		for _, group := range groups.Groups {
			all = append(all, group.Rules...)
		}
	}
	return all
}

func TestDashboard(t *testing.T) {
	all := emitted(t)
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids, used := map[int]bool{}, ""
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || panel.Title == "" || len(panel.Targets) == 0 {
			t.Errorf("panel %d, %q: want an id of its own, a title and a query", panel.ID, panel.Title)
		}
		ids[panel.ID] = true
		for _, target := range panel.Targets {
			all.check(t, panel.Title, target.Expr)
			used += target.Expr
		}
	}
	for name := range all {
		if strings.HasPrefix(name, "auth0grpc_") && !strings.Contains(used, name) {
			t.Errorf("%s is on no panel", name)
		}
	}
}

// The check works: it finds the faults of an expression.
func TestCheckFindsFaults(t *testing.T) {
	all := emitted(t)
	for _, expr := range []string{
		`sum(auth0grpc_decisions`,
		`auth0grpc_decisions`,
		`auth0grpc_decisions_total{method="x"}`,
		`auth0grpc_decisions_total{auth0grpc_outcome="denied"}`,
		`sum by (reason) (auth0grpc_decisions_total)`,
	} {
		if len(all.faults(expr)) != 1 {
			t.Errorf("faults of %s: %q, want one", expr, all.faults(expr))
		}
	}
}

// The program serves the endpoints that its test reads, and stops on request.
func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var lines bytes.Buffer
	var addr string
	var ended chan error
	start := func() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr, ended = listener.Addr().String(), make(chan error, 1)
		listener.Close() // for run to take
		go func(addr string, ended chan<- error) { ended <- run(ctx, addr, &lines) }(addr, ended)
	}
	start()
	for attempts := 1; ; {
		if found, err := scrape(addr); err == nil && found {
			break
		}
		select {
		case err := <-ended:
			if attempts++; attempts > 5 || !errors.Is(err, syscall.EADDRINUSE) {
				t.Fatalf("run ended: %v", err)
			}
			start() // another process took the port
		default:
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"report-only", "reason=KEYS_UNAVAILABLE", "reason=MISSING_TOKEN", "keys could not be fetched"} {
		if !strings.Contains(lines.String(), want) {
			t.Errorf("the log does not tell of %s:\n%s", want, &lines)
		}
	}
}

// scrape reports whether the metrics have the last call of a round.
func scrape(addr string) (bool, error) {
	response, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "auth0grpc_decisions_total{") && strings.Contains(lines.Text(), `error_type="WRONG_AUDIENCE"`) {
			return true, nil
		}
	}
	return false, nil
}
