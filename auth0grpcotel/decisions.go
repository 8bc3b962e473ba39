package auth0grpcotel

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/auth0grpc/auth0grpc"
)

// A cacheResult is the result of a look-up in the verified-token cache.
type cacheResult int

const (
	noLookUp cacheResult = iota
	hit
	miss
)

func (c cacheResult) String() string { return [...]string{"", "hit", "miss"}[c] }

// cacheResultOf derives the result of the look-up from a decision. Public methods and
// calls without a token have none.
func cacheResultOf(d *auth0grpc.Decision) cacheResult {
	switch {
	case d.Outcome == auth0grpc.OutcomeEnded:
		return noLookUp
	case d.CacheHit:
		return hit
	case d.Issuer != "":
		return miss
	case d.Outcome == auth0grpc.OutcomeAllowed:
		return noLookUp
	}
	switch d.Reason {
	case auth0grpc.ReasonMissingToken, auth0grpc.ReasonMalformedAuthorization, auth0grpc.ReasonTokenTooLong, auth0grpc.ReasonDPoPNotAccepted,
		auth0grpc.ReasonMethodNotListed, auth0grpc.ReasonDPoPRequired:
		return noLookUp
	}
	return miss
}

// decisions counts decisions and reports the totals when the SDK collects: a counter of
// the SDK costs a call several times as much.
//
// It has an entry for each row of the table with a decision, and in it one for each
// outcome and reason: all of them closed sets.
type decisions struct {
	rows atomic.Pointer[map[string]*row] // by Decision.Row; the map is immutable
	mu   sync.Mutex                      // taken to replace rows
}

// A row counts the decisions by one row of the table.
type row struct {
	method attribute.KeyValue
	hits   counter // calls allowed by a cache hit: the most frequent ones

	mu           sync.Mutex
	rareCounters map[series]*counter
}

// A series distinguishes the decisions by one row.
type series struct {
	outcome     auth0grpc.Outcome
	cacheResult cacheResult
	errorType   string
	delegated   bool              // the token names an actor
	candidate   auth0grpc.Outcome // by the candidate table, if it differs
}

type counter struct {
	n       atomic.Int64
	options []metric.ObserveOption
}

func (c *decisions) add(d *auth0grpc.Decision, lookUp cacheResult) {
	r := c.row(d.Row)
	if lookUp == hit && d.Outcome == auth0grpc.OutcomeAllowed && d.Actor == "" && d.Candidate.Outcome == "" {
		r.hits.n.Add(1)
		return
	}
	r.counterFor(series{d.Outcome, lookUp, errorType(d), d.Actor != "", d.Candidate.Outcome}).n.Add(1)
}

func (c *decisions) row(name string) *row {
	if rows := c.rows.Load(); rows != nil {
		if r, ok := (*rows)[name]; ok {
			return r
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	updated := map[string]*row{}
	if rows := c.rows.Load(); rows != nil {
		if r, ok := (*rows)[name]; ok {
			return r
		}
		updated = maps.Clone(*rows)
	}
	r := newRow(name)
	updated[name] = r
	c.rows.Store(&updated)
	return r
}

func newRow(name string) *row {
	method := otherValue
	if name != "" {
		method = strings.TrimPrefix(name, "/")
	}
	r := &row{method: semconv.RPCMethod(method), rareCounters: map[series]*counter{}}
	r.hits.options = r.optionsOf(series{outcome: auth0grpc.OutcomeAllowed, cacheResult: hit})
	return r
}

func (r *row) counterFor(s series) *counter {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.rareCounters[s]
	if c == nil {
		c = &counter{options: r.optionsOf(s)}
		r.rareCounters[s] = c
	}
	return c
}

func (r *row) optionsOf(s series) []metric.ObserveOption {
	attributes := []attribute.KeyValue{r.method, outcomeKey.String(string(s.outcome))}
	if s.cacheResult != noLookUp {
		attributes = append(attributes, cacheResultKey.String(s.cacheResult.String()))
	}
	if s.delegated {
		attributes = append(attributes, delegatedKey.Bool(true))
	}
	if s.candidate != "" {
		attributes = append(attributes, candidateKey.String(string(s.candidate)))
	}
	return []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(withError(attributes, s.errorType)...))}
}

// observe reports the totals.
func (c *decisions) observe(o metric.Observer, instrument metric.Int64Observable) {
	rows := c.rows.Load()
	if rows == nil {
		return
	}
	for _, r := range *rows {
		if n := r.hits.n.Load(); n > 0 {
			o.ObserveInt64(instrument, n, r.hits.options...)
		}
		r.mu.Lock()
		counters := maps.Clone(r.rareCounters)
		r.mu.Unlock()
		for _, c := range counters {
			o.ObserveInt64(instrument, c.n.Load(), c.options...)
		}
	}
}
