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

// A cacheResult is what a look-up in the verified-token cache gave.
type cacheResult int

const (
	noLookUp cacheResult = iota
	hit
	miss
)

func (c cacheResult) String() string { return [...]string{"", "hit", "miss"}[c] }

// cacheResultOf tells from a decision what the cache had for it. No token was
// looked up for a public method, nor where there was none to look up.
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
	case auth0grpc.ReasonMissingToken, auth0grpc.ReasonMalformedAuthorization, auth0grpc.ReasonMethodNotListed, auth0grpc.ReasonDPoPRequired:
		return noLookUp
	}
	return miss
}

// decisions counts decisions by themselves, and tells the SDK the totals when it
// collects: a counter of the SDK costs a call several times as much.
//
// It has an entry for each row of the table that was ever asked for, and in it one
// for each outcome and reason: all of them closed sets.
type decisions struct {
	rows atomic.Pointer[map[string]*row] // by Decision.Row; the map is never written to
	mu   sync.Mutex                      // taken to replace rows
}

// A row counts the decisions by one row of the table.
type row struct {
	method attribute.KeyValue
	hits   counter // allowed by a cache hit, which is what most calls are

	mu     sync.Mutex
	others map[series]*counter
}

// A series is what tells the decisions by one row apart.
type series struct {
	outcome     auth0grpc.Outcome
	cacheResult cacheResult
	errorType   string
}

type counter struct {
	n       atomic.Int64
	options []metric.ObserveOption
}

func (c *decisions) add(d *auth0grpc.Decision, lookUp cacheResult) {
	r := c.row(d.Row)
	if lookUp == hit && d.Outcome == auth0grpc.OutcomeAllowed {
		r.hits.n.Add(1)
		return
	}
	r.counterFor(series{d.Outcome, lookUp, errorType(d)}).n.Add(1)
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
	r := &row{method: semconv.RPCMethod(method), others: map[series]*counter{}}
	r.hits.options = r.optionsOf(series{outcome: auth0grpc.OutcomeAllowed, cacheResult: hit})
	return r
}

func (r *row) counterFor(s series) *counter {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.others[s]
	if c == nil {
		c = &counter{options: r.optionsOf(s)}
		r.others[s] = c
	}
	return c
}

func (r *row) optionsOf(s series) []metric.ObserveOption {
	attributes := []attribute.KeyValue{r.method, outcomeKey.String(string(s.outcome))}
	if s.cacheResult != noLookUp {
		attributes = append(attributes, cacheResultKey.String(s.cacheResult.String()))
	}
	return []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(withError(attributes, s.errorType)...))}
}

// observe tells the totals.
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
		others := maps.Clone(r.others)
		r.mu.Unlock()
		for _, c := range others {
			o.ObserveInt64(instrument, c.n.Load(), c.options...)
		}
	}
}
