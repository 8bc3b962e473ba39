// Package auth0grpcotel reports the decisions of an [auth0grpc.Interceptor] to
// OpenTelemetry, as metrics and as attributes of the call's span. It needs the API of
// OpenTelemetry and not the SDK. It is a module of its own, so that auth0grpc brings
// neither.
//
//	telemetry, err := auth0grpcotel.New(auth0grpcotel.Config{MeterProvider: provider})
//	config.OnDecision, config.OnKeyRefresh = telemetry.OnDecision, telemetry.OnKeyRefresh
//	guard, err := auth0grpc.New(config)
//	telemetry.Observe(guard)
//
// A function calls several hooks:
//
//	config.OnDecision = func(ctx context.Context, d auth0grpc.Decision) {
//		decisions.OnDecision(ctx, d) // of package auth0grpclog
//		telemetry.OnDecision(ctx, d)
//	}
//
// # Metrics
//
//	auth0grpc.decisions               counter    {decision}  rpc.method, auth0grpc.outcome, auth0grpc.cache.result, error.type, auth0grpc.delegated, auth0grpc.candidate.outcome
//	auth0grpc.verification.duration   histogram  s           error.type
//	auth0grpc.cache.size              gauge      {token}
//	auth0grpc.active_streams          gauge      {stream}
//	auth0grpc.lingering_streams       gauge      {stream}
//	auth0grpc.key.refreshes           counter    {refresh}   auth0grpc.issuer, error.type
//	auth0grpc.key.age                 gauge      s           auth0grpc.issuer
//	auth0grpc.policy.info             gauge      {interceptor}  auth0grpc.policy, auth0grpc.policy.role
//
// With [Telemetry.ObserveFeed], the state of a revocation feed:
//
//	auth0grpc.feed.connected          gauge      {feed}
//	auth0grpc.feed.lag                gauge      s
//	auth0grpc.feed.last_entry         gauge      s, Unix time
//	auth0grpc.feed.entries            gauge      {entry}
//	auth0grpc.feed.gaps               counter    {gap}
//	auth0grpc.feed.republished        counter    {revocation}
//	auth0grpc.feed.trim_failing       gauge      {feed}
//
// With [Telemetry.ObserveEvents], the state of package auth0grpcevents:
//
//	auth0grpc.events.leaders          gauge      {process}   the sum over all replicas is 1
//	auth0grpc.events.lag              gauge      s
//	auth0grpc.events.delay            gauge      s
//	auth0grpc.events.last_event       gauge      s, Unix time
//	auth0grpc.events.received         counter    {event}     auth0grpc.event.outcome
//	auth0grpc.events.outages          counter    {outage}
//
// The other gauges start with [Telemetry.Observe]. Sizes are UpDownCounters, which add up
// over servers. Verification duration covers the calls whose token was not in the
// cache, since a cache hit verifies nothing. It includes the wait for keys.
//
// # Attributes
//
// Labels come from closed sets alone, never from the wire: a client that invents
// methods or subjects cannot create series (CVE-2023-47108).
//
//   - rpc.method is the row of the table that decided, without its first slash:
//     "orders.v1.Orders/Get", or "orders.v1.Orders/*" if the row covers the whole
//     service. A method without a row is "_OTHER", as the conventions ask for
//     unknown methods.
//   - auth0grpc.outcome is allowed, refused, reported (report-only let it
//     through) or ended (a stream that was opened with a token has ended; the
//     decision that opened it is counted as well).
//   - auth0grpc.cache.result is hit or miss, and absent if no token was looked up.
//   - error.type is the [auth0grpc.Reason]. It is CANCELLED or DEADLINE_EXCEEDED if
//     the caller left before the decision, and "_OTHER" for a failed refresh: the log
//     has the cause. It is absent on success.
//   - auth0grpc.issuer is one of Config.Issuers.
//   - auth0grpc.candidate.outcome is the outcome by the table of SetCandidate, on
//     decisions for which it differs.
//   - auth0grpc.policy is the fingerprint of a table, and auth0grpc.policy.role is current
//     or candidate. Two values of one role at a time are two versions in the fleet.
//   - auth0grpc.delegated is true if the token names an actor (RFC 8693, section 4.1), and
//     absent otherwise. The actor itself is on spans alone.
//
// The semantic conventions, version 1.43, define rpc.method, error.type and enduser.id.
// otelgrpc measures the calls themselves (rpc.server.call.duration), with the same
// rpc.method except for whole services. There is no rpc.service: the conventions have
// dropped it.
//
// The SDK keeps 2,000 combinations of attributes of each metric by default. A table of
// more than some hundred rows needs sdkmetric.WithCardinalityLimit.
//
// # Spans
//
// The span of the call, if it is recorded, gets auth0grpc.outcome,
// auth0grpc.reason, auth0grpc.row, auth0grpc.cache.result, auth0grpc.issuer,
// auth0grpc.client.id, auth0grpc.organization.id and auth0grpc.actor, and with Config.EndUserID
// enduser.id. The reason is not error.type there: the span describes the call, and a
// call that report-only lets through has not failed. A stream that the interceptor ends
// gets the reason.
//
// The subject of the token is personal data, so spans have it only with
// Config.EndUserID. It is enduser.id and not user.id: the conventions reserve the
// latter for the accounts of machines and systems. No attribute holds a token or
// another claim.
package auth0grpcotel
