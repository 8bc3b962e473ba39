package auth0grpcotel

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc"
)

// ScopeName is the name of the instrumentation scope of every metric.
const ScopeName = "github.com/auth0grpc/auth0grpc/auth0grpcotel"

// otherValue is the conventions' value for anything outside a closed set.
const otherValue = "_OTHER"

// Attributes without a convention.
const (
	outcomeKey      = attribute.Key("auth0grpc.outcome")
	reasonKey       = attribute.Key("auth0grpc.reason")
	rowKey          = attribute.Key("auth0grpc.row")
	cacheResultKey  = attribute.Key("auth0grpc.cache.result")
	issuerKey       = attribute.Key("auth0grpc.issuer")
	clientKey       = attribute.Key("auth0grpc.client.id")
	organizationKey = attribute.Key("auth0grpc.organization.id")
	actorKey        = attribute.Key("auth0grpc.actor")
	delegatedKey    = attribute.Key("auth0grpc.delegated")
	candidateKey    = attribute.Key("auth0grpc.candidate.outcome")
)

// Config configures [New]. Every field has a default.
type Config struct {
	// MeterProvider makes the instruments. Default: otel.GetMeterProvider().
	MeterProvider metric.MeterProvider

	// EndUserID puts the subject of the token, which is personal data, on spans as
	// enduser.id. Default: no span has it.
	EndUserID bool
}

// Telemetry holds the instruments. [New] returns one. It is safe for concurrent use and
// serves any number of Interceptors.
type Telemetry struct {
	endUserID bool
	decisions decisions
	duration  metric.Float64Histogram
	refreshes metric.Int64Counter

	revocations revocations

	mu              sync.Mutex
	guards          []*auth0grpc.Interceptor
	durationOptions map[string]metric.MeasurementOption // of duration, by error.type
}

// New creates the instruments. It returns an error if the MeterProvider does.
func New(config Config) (*Telemetry, error) {
	provider := config.MeterProvider
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	t := &Telemetry{endUserID: config.EndUserID, durationOptions: map[string]metric.MeasurementOption{}}
	meter := provider.Meter(ScopeName, metric.WithSchemaURL(semconv.SchemaURL))
	if err := errors.Join(t.instrument(meter), t.revocations.instrument(meter)); err != nil {
		return nil, fmt.Errorf("auth0grpcotel: %w", err)
	}
	return t, nil
}

// buckets, in seconds: a public-key operation takes tens of microseconds, a fetch
// of keys up to seconds.
var buckets = []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

func (t *Telemetry) instrument(meter metric.Meter) error {
	var errs [7]error
	var counted metric.Int64ObservableCounter
	var cached, open, lingering metric.Int64ObservableUpDownCounter
	var age metric.Float64ObservableGauge
	t.duration, errs[0] = meter.Float64Histogram("auth0grpc.verification.duration",
		metric.WithDescription("Duration of decisions that verified an access token."),
		metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(buckets...))
	t.refreshes, errs[1] = meter.Int64Counter("auth0grpc.key.refreshes",
		metric.WithDescription("Attempts to fetch an issuer's keys."), metric.WithUnit("{refresh}"))
	counted, errs[2] = meter.Int64ObservableCounter("auth0grpc.decisions",
		metric.WithDescription("Decisions on calls, and ends of streams that were opened with a token."), metric.WithUnit("{decision}"))
	cached, errs[3] = meter.Int64ObservableUpDownCounter("auth0grpc.cache.size",
		metric.WithDescription("Verified tokens in the cache."), metric.WithUnit("{token}"))
	open, errs[4] = meter.Int64ObservableUpDownCounter("auth0grpc.active_streams",
		metric.WithDescription("Open streams that were opened with a token."), metric.WithUnit("{stream}"))
	lingering, errs[6] = meter.Int64ObservableUpDownCounter("auth0grpc.lingering_streams",
		metric.WithDescription("Streams that the server has ended and whose handler still runs."), metric.WithUnit("{stream}"))
	age, errs[5] = meter.Float64ObservableGauge("auth0grpc.key.age",
		metric.WithDescription("Time since an issuer's keys were fetched."), metric.WithUnit("s"))
	if err := errors.Join(append(errs[:], t.instrumentPolicies(meter))...); err != nil {
		return err
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		t.decisions.observe(o, counted)
		t.observe(o, cached, open, lingering, age)
		return nil
	}, counted, cached, open, lingering, age)
	return err
}

// Observe adds the sizes of the Interceptor ([auth0grpc.Interceptor.Stats]) to the
// gauges, for the lifetime of the MeterProvider. The gauges add up several Interceptors.
// If they share an issuer, the age of the older keys counts.
func (t *Telemetry) Observe(guard *auth0grpc.Interceptor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.guards = append(t.guards, guard)
}

func (t *Telemetry) observe(o metric.Observer, cached, open, lingering metric.Int64Observable, age metric.Float64Observable) {
	t.mu.Lock()
	guards := t.guards // append-only
	t.mu.Unlock()
	if len(guards) == 0 {
		return
	}
	var tokens, streams, ended int
	ages := map[string]float64{}
	for _, guard := range guards {
		stats := guard.Stats()
		tokens += stats.CachedTokens
		streams += stats.OpenStreams
		ended += stats.LingeringStreams
		for issuer, age := range stats.KeyAge {
			ages[issuer] = max(ages[issuer], age.Seconds())
		}
	}
	o.ObserveInt64(cached, int64(tokens))
	o.ObserveInt64(open, int64(streams))
	o.ObserveInt64(lingering, int64(ended))
	for issuer, seconds := range ages {
		o.ObserveFloat64(age, seconds, metric.WithAttributes(issuerKey.String(issuer)))
	}
}

// OnDecision is a value for [auth0grpc.Config].OnDecision.
func (t *Telemetry) OnDecision(ctx context.Context, d auth0grpc.Decision) {
	lookUp := cacheResultOf(&d)
	t.decisions.add(&d, lookUp)
	if lookUp == miss {
		t.duration.Record(ctx, d.Duration.Seconds(), t.durationAttrs(errorType(&d)))
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		t.annotate(span, &d, lookUp)
	}
}

// OnKeyRefresh is a value for [auth0grpc.Config].OnKeyRefresh.
func (t *Telemetry) OnKeyRefresh(r auth0grpc.KeyRefresh) {
	attributes := []attribute.KeyValue{issuerKey.String(r.Issuer)}
	if r.Err != nil {
		attributes = append(attributes, semconv.ErrorTypeOther)
	}
	t.refreshes.Add(context.Background(), 1, metric.WithAttributes(attributes...))
}

// durationAttrs returns the attributes of a duration. It creates each set once.
func (t *Telemetry) durationAttrs(errorType string) metric.MeasurementOption {
	t.mu.Lock()
	defer t.mu.Unlock()
	option, ok := t.durationOptions[errorType]
	if !ok {
		option = metric.WithAttributeSet(attribute.NewSet(withError(nil, errorType)...))
		t.durationOptions[errorType] = option
	}
	return option
}

func withError(attributes []attribute.KeyValue, errorType string) []attribute.KeyValue {
	if errorType == "" {
		return attributes
	}
	return append(attributes, semconv.ErrorTypeKey.String(errorType))
}

// errorType returns the class of error of a decision, or "".
func errorType(d *auth0grpc.Decision) string {
	switch {
	case d.Reason != "" || d.Outcome != auth0grpc.OutcomeRefused:
		return string(d.Reason)
	case d.Code == codes.Canceled:
		return "CANCELLED"
	case d.Code == codes.DeadlineExceeded:
		return "DEADLINE_EXCEEDED"
	}
	return otherValue
}

func (t *Telemetry) annotate(span trace.Span, d *auth0grpc.Decision, lookUp cacheResult) {
	attributes := make([]attribute.KeyValue, 0, 9)
	set := func(key attribute.Key, value string) {
		if value != "" {
			attributes = append(attributes, key.String(value))
		}
	}
	set(reasonKey, string(d.Reason))
	if d.Outcome != auth0grpc.OutcomeEnded { // the span has the rest since the opening
		set(outcomeKey, string(d.Outcome))
		set(rowKey, d.Row)
		set(cacheResultKey, lookUp.String())
		set(issuerKey, d.Issuer)
		set(clientKey, d.ClientID)
		set(organizationKey, d.OrganizationID)
		set(actorKey, d.Actor)
		if t.endUserID {
			set(semconv.EnduserIDKey, d.Subject)
		}
	}
	span.SetAttributes(attributes...)
}
