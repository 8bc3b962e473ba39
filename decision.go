package auth0grpc

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// An Outcome is what became of a call or of a stream.
type Outcome string

// The outcomes of a Decision.
const (
	OutcomeAllowed  Outcome = "allowed"  // the handler runs
	OutcomeRefused  Outcome = "refused"  // the handler does not run
	OutcomeReported Outcome = "reported" // it would have been refused, and the handler runs all the same
	OutcomeEnded    Outcome = "ended"    // a stream that was opened with a token is over
)

// A Decision is what Config.OnDecision is told: once for each call, and once
// more when a stream that was opened with a token is over. It has no token and
// no claims but the four that say who called.
type Decision struct {
	// FullMethod is the method as gRPC names it. Where the table lists no such
	// method it is what a client made up, as long as gRPC let it pass: use Row for
	// metric labels.
	FullMethod string
	// Row is the key of the row that decided: one of Config.Methods, or "" for a
	// method that is not listed.
	Row     string
	Outcome Outcome
	// Reason is why the call was refused or reported, and for OutcomeEnded why the
	// stream was ended; "" for one that was allowed or that ended by itself, and for
	// a caller that left before there was a verdict, which Code tells.
	Reason Reason
	// Code is the status code that goes, or with OutcomeReported would have gone,
	// with the reason.
	Code codes.Code

	// Subject, ClientID, Issuer and OrganizationID are those of the verified
	// token; all are empty where none was verified.
	Subject, ClientID, Issuer, OrganizationID string

	// KeyID is the id of the key that signed the verified token.
	KeyID string
	// CacheHit reports that the token was verified before.
	CacheHit bool
	// Duration is how long the decision took, and for OutcomeEnded how long the
	// stream was open.
	Duration time.Duration
}

// A verdict is the result of the one decision.
type verdict struct {
	row      *row     // nil: not listed
	claims   *claims  // nil: nothing was verified
	hit      bool     // claims are from the cache
	scheme   scheme   // how the token was presented
	refused  *refusal // nil: allowed
	reported bool     // refused, and let through all the same
}

// decision words a verdict for the hook.
func (v *verdict) decision(fullMethod string, took time.Duration) Decision {
	d := Decision{FullMethod: fullMethod, Outcome: OutcomeAllowed, CacheHit: v.hit, Duration: took}
	if v.row != nil {
		d.Row = v.row.pattern
	}
	if v.refused != nil {
		d.Outcome, d.Reason, d.Code = OutcomeRefused, v.refused.reason, v.refused.status.Code()
	}
	if v.reported {
		d.Outcome = OutcomeReported
	}
	if c := v.claims; c != nil {
		d.Subject, d.ClientID, d.Issuer, d.OrganizationID = c.subject, c.clientID, c.issuer, c.organizationID
		d.KeyID = c.key.ID
	}
	return d
}

// end words the end of a stream that was opened under the verdict; a refusal is
// then why it was ended.
func (v *verdict) end(fullMethod string, open time.Duration) Decision {
	d := v.decision(fullMethod, open)
	d.Outcome = OutcomeEnded
	return d
}

// epoch is some moment to count from, see start.
var epoch = time.Now()

// start returns the time if the hook will want to know how long something took.
// Where the Config has no clock of its own, verifier.at takes it for its own and
// saves a reading. Where it has one, only the monotonic clock is read, as
// time.Since does, at half the cost.
func (i *Interceptor) start() time.Time {
	switch {
	case i.onDecision == nil:
		return time.Time{}
	case i.verifier.wallClock:
		return time.Now()
	}
	return epoch.Add(time.Since(epoch))
}

// tell calls the hook. It holds no lock, and a panic of the hook is not the
// call's: what watches decisions must not make them.
func (i *Interceptor) tell(ctx context.Context, d Decision) {
	defer func() {
		if p := recover(); p != nil {
			i.logger.ErrorContext(ctx, "auth0grpc: Config.OnDecision panicked", "panic", p)
		}
	}()
	i.onDecision(ctx, d)
}

// KeyRefresh reports one attempt to fetch the keys of an issuer, see
// [Config.OnKeyRefresh].
type KeyRefresh struct {
	Issuer string
	At     time.Time // when the attempt ended
	Keys   int       // usable keys after it; a failure leaves the keys that were there
	// Unused lists the published keys that are not used, at most 32 of them.
	// Omitted counts the rest. Tokens that such a key signed are refused with
	// ReasonUnknownKey, unless another key has the same kid.
	Unused  []UnusedKey
	Omitted int
	Err     error // nil if it succeeded; its text is safe to log
}

// UnusedKey names a published key that the server does not use, and why. Both
// texts are safe to log.
type UnusedKey struct {
	// KeyID is the key's kid, or "" if it has none. It is cut after 64 bytes,
	// and "?" replaces every byte other than printable ASCII.
	KeyID string
	// Reason is a fixed text, for example "keyset: key has no kid".
	Reason string
}

// newKeyRefresh returns the public form of r.
func newKeyRefresh(r keyset.Refresh) KeyRefresh {
	refresh := KeyRefresh{Issuer: r.Issuer, At: r.At, Keys: r.Keys, Omitted: r.Omitted, Err: r.Err}
	for _, unused := range r.Unused {
		refresh.Unused = append(refresh.Unused, UnusedKey(unused))
	}
	return refresh
}

// Stats are the sizes of what an Interceptor holds at one moment.
type Stats struct {
	CachedTokens int // entries of the verified-token cache
	OpenStreams  int // open streams that were opened with a token
	// LingeringStreams is the number of streams that the server has ended and
	// whose handler has not returned yet. The handler ignores its context or,
	// behind ServeHTTP, waits for a client that reads nothing. Such a stream counts
	// under grpc.MaxConcurrentStreams, and no message passes it.
	LingeringStreams int
	KeyAge           map[string]time.Duration // by issuer, since its keys were fetched; issuers without keys are missing

	// UsedProofs is the number of DPoP proofs that the replay store remembers, and
	// UsedProofsCapacity how many it can. When it is full, calls are refused as
	// Unavailable. Both are 0 if DPoP is disabled or the store is not one of
	// [NewReplayStore].
	UsedProofs, UsedProofsCapacity int
}

// Stats returns the sizes of this moment, for gauges. It does no I/O.
func (i *Interceptor) Stats() Stats {
	stats := Stats{KeyAge: map[string]time.Duration{}}
	if i.verifier == nil {
		return stats
	}
	if i.verifier.cache != nil {
		stats.CachedTokens = i.verifier.cache.Len()
	}
	stats.OpenStreams = i.streams.len()
	stats.LingeringStreams = int(i.streams.lingering.Load())
	stats.UsedProofs, stats.UsedProofsCapacity = i.verifier.binding.replayFill()
	now := i.verifier.now()
	for name, one := range i.verifier.issuers {
		if age, ok := one.keys.Age(now); ok {
			stats.KeyAge[name] = age
		}
	}
	return stats
}
