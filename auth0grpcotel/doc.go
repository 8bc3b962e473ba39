// Package auth0grpcotel tells OpenTelemetry what an [auth0grpc.Interceptor]
// decides, by metrics and by attributes on the span of the call. It needs the API
// of OpenTelemetry and not the SDK, and is a module of its own, so that neither
// comes with auth0grpc.
//
//	telemetry, err := auth0grpcotel.New(auth0grpcotel.Config{MeterProvider: provider})
//	config.OnDecision, config.OnKeyRefresh = telemetry.OnDecision, telemetry.OnKeyRefresh
//	guard, err := auth0grpc.New(config)
//	telemetry.Observe(guard)
//
// Where the decisions are to be logged as well, a function tells both:
//
//	config.OnDecision = func(ctx context.Context, d auth0grpc.Decision) {
//		decisions.OnDecision(ctx, d) // of package auth0grpclog
//		telemetry.OnDecision(ctx, d)
//	}
//
// # Metrics
//
//	auth0grpc.decisions               counter    {decision}  rpc.method, auth0grpc.outcome, auth0grpc.cache.result, error.type
//	auth0grpc.verification.duration   histogram  s           error.type
//	auth0grpc.cache.size              gauge      {token}
//	auth0grpc.active_streams          gauge      {stream}
//	auth0grpc.key.refreshes           counter    {refresh}   auth0grpc.issuer, error.type
//	auth0grpc.key.age                 gauge      s           auth0grpc.issuer
//
// The gauges are there after Observe; those of sizes are UpDownCounters, which
// add up over servers. Verification duration has the calls whose token was not in
// the cache, since with a cache hit nothing is verified. It includes the wait for
// keys.
//
// # Attributes
//
// Labels come from closed sets alone, never from the wire: a client that makes
// methods up, or subjects, cannot make series (CVE-2023-47108).
//
//   - rpc.method is the row of the table that decided, without its first slash:
//     "orders.v1.Orders/Get", or "orders.v1.Orders/*" where the row is for the
//     whole service. A method without a row is "_OTHER", which is what the
//     conventions ask for where a method is not recognised.
//   - auth0grpc.outcome is allowed, refused, reported (report-only let it
//     through) or ended (a stream that was opened with a token is over, counted
//     besides the decision that opened it).
//   - auth0grpc.cache.result is hit or miss; missing where no token was looked up.
//   - error.type is the auth0grpc.Reason; for a caller that left before there was
//     a verdict, CANCELLED or DEADLINE_EXCEEDED; for a failed refresh "_OTHER":
//     the log has the cause. Missing where all went well.
//   - auth0grpc.issuer is one of Config.Issuers.
//
// rpc.method, error.type and enduser.id are those of the semantic conventions,
// version 1.43. The metrics of calls themselves (rpc.server.call.duration) are
// the business of otelgrpc, and have the same rpc.method except for whole
// services. There is no rpc.service: the conventions have dropped it.
//
// The SDK keeps 2,000 combinations of attributes of each metric unless told
// otherwise; a table of more than some hundred rows wants
// sdkmetric.WithCardinalityLimit.
//
// # Spans
//
// The span of the call, if it is recorded, gets auth0grpc.outcome,
// auth0grpc.reason, auth0grpc.row, auth0grpc.cache.result, auth0grpc.issuer,
// auth0grpc.client.id and auth0grpc.organization.id, and with Config.EndUserID
// enduser.id. The reason is not called error.type there: the span is that of the
// call, and a call that report-only lets through has not failed. A stream that we
// end gets the reason for it.
//
// The subject of the token is personal data, which is why it takes a word to have
// it on spans. It is enduser.id and not user.id: the conventions keep the latter
// for the accounts of machines and systems. No attribute holds a token or another
// of its claims.
package auth0grpcotel
