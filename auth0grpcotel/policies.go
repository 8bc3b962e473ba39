package auth0grpcotel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

const (
	policyKey     = attribute.Key("auth0grpc.policy")
	policyRoleKey = attribute.Key("auth0grpc.policy.role")
)

// instrumentPolicies creates the gauge that has the fingerprint of each table as an
// attribute.
func (t *Telemetry) instrumentPolicies(meter metric.Meter) error {
	_, err := meter.Int64ObservableGauge("auth0grpc.policy.info",
		metric.WithDescription("The table in force and the candidate table, by fingerprint. The value is the number of Interceptors."),
		metric.WithUnit("{interceptor}"), metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			t.mu.Lock()
			guards := t.guards // append-only
			t.mu.Unlock()
			count := map[[2]string]int64{}
			for _, guard := range guards {
				stats := guard.Stats()
				count[[2]string{stats.Policy, "current"}]++
				if stats.CandidatePolicy != "" {
					count[[2]string{stats.CandidatePolicy, "candidate"}]++
				}
			}
			for key, n := range count {
				o.Observe(n, metric.WithAttributes(policyKey.String(key[0]), policyRoleKey.String(key[1])))
			}
			return nil
		}))
	return err
}
