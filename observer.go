package auth0grpc

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// reminderInterval is the shortest time between two report-only warnings.
const reminderInterval = time.Hour

// An observer calls the hooks, writes the log, and applies report-only. Nothing else
// does. It holds no lock while it calls a hook, and recovers a panic of one.
type observer struct {
	onDecision     func(context.Context, Decision) // may be nil
	onKeyRefresh   func(KeyRefresh)                // may be nil
	describes      bool                            // [Config.DescribeRefused]
	wantsFacts     bool                            // [Config.RecordFacts], with onDecision
	logger         *slog.Logger
	mode           ReportOnlyMode
	clock          clock
	reportOnlyRows func() []string // of the current table
	lastReminder   atomic.Int64    // the last report-only warning, in Unix seconds
	outages        keyOutages      // used if onKeyRefresh is nil
	lastMisfit     atomic.Int64    // the last warning of warnMisconfigured, in Unix seconds
}

// init prepares an observer without hooks. rows returns the report-only rows of the
// current table.
func (o *observer) init(clock clock, logger *slog.Logger, mode ReportOnlyMode, rows func() []string) {
	o.clock, o.logger, o.mode, o.reportOnlyRows = clock, logger, mode, rows
}

// startTime returns the current time, or the zero time if no hook is set.
func (o *observer) startTime() time.Time {
	if o.onDecision == nil {
		return time.Time{}
	}
	return o.clock.startTime()
}

// judge returns the verdict on a call after its checks.
func (o *observer) judge(c caller, refused *refusal) verdict {
	return judgeBy(o.mode, c, refused)
}

// judgeBy is judge for a mode of report-only.
func judgeBy(mode ReportOnlyMode, c caller, refused *refusal) verdict {
	return verdict{caller: c, refused: refused, reported: refused != nil && mode.allows(c.row, refused.reason)}
}

// allowsReportOnly reports whether report-only lets a refused call pass.
func (o *observer) allowsReportOnly(c *caller, refused *refusal) bool {
	return o.mode.allows(c.row, refused.reason)
}

// hookContext returns the context of the hook. If [Config.DescribeRefused] is set, it
// has the authorization values of a call that is not a gRPC call.
func (o *observer) hookContext(ctx context.Context, request *Request) context.Context {
	if !o.describes || request.inMetadata {
		return ctx
	}
	return metadata.NewIncomingContext(ctx, metadata.MD{"authorization": request.Authorization})
}

// notifyDecision reports the decision that began at start.
func (o *observer) notifyDecision(ctx context.Context, fullMethod string, v *verdict, start time.Time) {
	if o.onDecision != nil {
		o.notify(ctx, v.toDecision(fullMethod, time.Since(start)))
	}
}

// notifyStreamEnd reports that a stream ended after openFor. reason is nil if its
// handler returned first.
func (o *observer) notifyStreamEnd(ctx context.Context, fullMethod string, c *caller, reason *refusal, openFor time.Duration) {
	if o.onDecision != nil {
		o.notify(ctx, c.endDecision(fullMethod, reason, openFor))
	}
}

// fullMethodKey is the key of the method in the context of an [OpenStream].
type fullMethodKey struct{}

// reportStream reports a stream that report-only keeps open.
func (o *observer) reportStream(ctx context.Context, c *caller, reason *refusal) {
	o.warnReportOnly(ctx)
	if o.onDecision != nil {
		fullMethod, ok := ctx.Value(fullMethodKey{}).(string)
		if !ok {
			fullMethod, _ = grpc.Method(ctx)
		}
		v := verdict{caller: *c, refused: reason, reported: true}
		o.notify(ctx, v.toDecision(fullMethod, 0))
	}
}

// notify calls the hook. A panic of the hook does not end the call.
func (o *observer) notify(ctx context.Context, d Decision) {
	defer func() {
		if p := recover(); p != nil {
			o.logger.ErrorContext(ctx, "auth0grpc: Config.OnDecision panicked", "panic", p)
		}
	}()
	if o.describes && d.Reason != "" {
		describe(ctx, &d)
	}
	o.onDecision(ctx, d)
}

// notifyKeyRefresh reports an attempt to fetch keys, or logs the begin and the end of
// an outage if no hook is set. A panic of the hook does not end the refresh.
func (o *observer) notifyKeyRefresh(r keyset.Refresh) {
	if o.onKeyRefresh == nil {
		o.outages.warn(o.logger, &r)
		return
	}
	defer func() {
		if p := recover(); p != nil {
			o.logger.Error("auth0grpc: Config.OnKeyRefresh panicked", "panic", p)
		}
	}()
	o.onKeyRefresh(newKeyRefresh(r))
}

// warnReportOnly warns that report-only is on: when it begins, and every hour in
// which a call passes by it. A setting that opens a server must not be forgotten
// (GO-2026-4703).
func (o *observer) warnReportOnly(ctx context.Context) {
	last, now := o.lastReminder.Load(), o.clock.now().Unix()
	elapsed := now - last // negative if the clock was set back; then the warning is due as well
	if last != 0 && elapsed >= 0 && elapsed < int64(reminderInterval/time.Second) {
		return
	}
	if !o.lastReminder.CompareAndSwap(last, now) { // another call warns
		return
	}
	o.logger.WarnContext(ctx, "auth0grpc: report-only: calls that should be refused are let through",
		"whole_table", o.mode != ReportOnlyOff, "invalid_tokens", o.mode == ReportOnlyEverything, "rows", o.reportOnlyRows())
}

// misfitInterval is the shortest time between two warnings of warnMisconfigured.
const misfitInterval = time.Minute

// warnMisconfigured logs a refusal whose cause is the rule and not the call.
func (o *observer) warnMisconfigured(ctx context.Context, r *row, refused *refusal) {
	if refused == nil || refused.reason != ReasonRuleMisconfigured {
		return
	}
	last, now := o.lastMisfit.Load(), o.clock.now().Unix()
	if elapsed := now - last; last != 0 && elapsed >= 0 && elapsed < int64(misfitInterval/time.Second) {
		return
	}
	if o.lastMisfit.CompareAndSwap(last, now) {
		o.logger.ErrorContext(ctx, "auth0grpc: a rule cannot be evaluated, so its calls are refused", "row", r.pattern, "error", refused)
	}
}

// warnNewTable warns that rows of a new table are not enforced, if there are any.
func (o *observer) warnNewTable(rows []string) {
	if len(rows) > 0 {
		o.logger.Warn("auth0grpc: report-only: the new table has rows that are not enforced", "rows", rows)
	}
}

// warnFeed warns that the revocation feed is unavailable.
func (o *observer) warnFeed(ctx context.Context, err error) {
	o.logger.WarnContext(ctx, "auth0grpc: revocations of other replicas may be missing", "error", err)
}

// logCheckerPanic logs a panic of [Config.RelationChecker]. It leaves out the value,
// which may name objects and subjects.
func (o *observer) logCheckerPanic(ctx context.Context, stack []byte) {
	o.logger.ErrorContext(ctx, "auth0grpc: Config.RelationChecker panicked", "stack", string(stack))
}

// logPanic logs a panic that no caller waits for: the handler of an ended stream
// must not end the server.
func (o *observer) logPanic(ctx context.Context, panicked error) {
	o.logger.ErrorContext(ctx, "auth0grpc: the handler of an ended stream panicked", "panic", panicked)
}
