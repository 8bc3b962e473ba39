package main

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// replicas are the samples of an hour, one a minute, in the notation of promtool. One
// of two replicas cannot reach Auth0.
var replicas = []string{
	`auth0grpc_key_refreshes_total{instance="a",auth0grpc_issuer="https://t/"} 0+1x60`,
	`auth0grpc_key_refreshes_total{instance="a",auth0grpc_issuer="https://t/",error_type="_OTHER"} 1x60`,
	`auth0grpc_key_refreshes_total{instance="b",auth0grpc_issuer="https://t/"} 3x60`,
	`auth0grpc_key_refreshes_total{instance="b",auth0grpc_issuer="https://t/",error_type="_OTHER"} 0+2x60`,
	`auth0grpc_decisions_total{instance="a",auth0grpc_outcome="allowed"} 0+60x60`,
	`auth0grpc_decisions_total{instance="b",auth0grpc_outcome="allowed"} 0+54x60`,
	`auth0grpc_decisions_total{instance="b",auth0grpc_outcome="refused",error_type="KEYS_UNAVAILABLE"} 0+6x60`,
}

// The alerts on keys fire for the replica that cannot reach Auth0 and for no other, at
// every minute of the time for which they wait. Few refusals alone are no alert.
func TestAlertsNameTheReplica(t *testing.T) {
	expected := map[string][]string{
		"Auth0grpcKeyRefreshFailing": {`{auth0grpc_issuer="https://t/", instance="b"}`},
		"Auth0grpcKeysUnavailable":   {`{instance="b"}`},
		"Auth0grpcRefusalsHigh":      nil,
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 100_000, Timeout: time.Hour, Parser: promQL})
	data := loaded(t, replicas)
	tested := 0
	for _, rule := range rules(t) {
		want, ok := expected[rule.Alert]
		if !ok {
			continue
		}
		tested++
		end := time.Unix(0, 0).Add(time.Hour)
		for at := end.Add(-time.Duration(rule.For)); !at.After(end); at = at.Add(time.Minute) {
			if got := evaluate(t, engine, data, rule.Expr, at); !slices.Equal(got, want) {
				t.Errorf("%s at %v: %q, want %q", rule.Alert, at.UTC(), got, want)
			}
		}
	}
	if tested != len(expected) {
		t.Errorf("%d alerts tested, want %d", tested, len(expected))
	}
}

// evaluate returns the labels of each element of the result, sorted.
func evaluate(t *testing.T, engine *promql.Engine, data storage.Queryable, expr string, at time.Time) []string {
	t.Helper()
	query, err := engine.NewInstantQuery(t.Context(), data, nil, expr, at)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, sample := range vector {
		found = append(found, sample.Metric.String())
	}
	slices.Sort(found)
	return found
}

// loaded returns the series, with a sample a minute since 1970.
func loaded(t *testing.T, series []string) storage.Queryable {
	t.Helper()
	var all []storage.Series
	for _, text := range series {
		lset, values, err := promQL.ParseSeriesDesc(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var samples []chunks.Sample
		for i, value := range values {
			samples = append(samples, sample{int64(i) * time.Minute.Milliseconds(), value.Value})
		}
		all = append(all, storage.NewListSeries(lset, samples))
	}
	querier := &storage.MockQuerier{SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
		set := &seriesSet{}
		for _, s := range all {
			if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Labels().Get(m.Name)) }) {
				set.all = append(set.all, s)
			}
		}
		return set
	}}
	return &storage.MockQueryable{MockQuerier: querier}
}

// A seriesSet iterates over series.
type seriesSet struct {
	all  []storage.Series
	next int
}

func (s *seriesSet) Next() bool                        { s.next++; return s.next <= len(s.all) }
func (s *seriesSet) At() storage.Series                { return s.all[s.next-1] }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// A sample is a number at a time in milliseconds.
type sample struct {
	at    int64
	value float64
}

func (s sample) T() int64                      { return s.at }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }
