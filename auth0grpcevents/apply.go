package auth0grpcevents

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// maxAhead is how far the time of an event may lie ahead of our clock. It is the
// difference of clocks that auth0grpc.Config.ClockSkew allows.
const maxAhead = 5 * time.Minute

// rememberedEvents is how many revocations are remembered to drop duplicates.
const rememberedEvents = 8192

// An outcome is the result of one event.
type outcome int

const (
	outcomeRevoked     outcome = iota // the revocation is published
	outcomeUnrelated                  // ends no tokens: a user is updated and not blocked
	outcomeDuplicate                  // was published before
	outcomeTest                       // sent by Auth0 to test the stream
	outcomeUnknown                    // of an unknown type or version
	outcomeMalformed                  // lacks a field, or is not an event
	outcomeOtherTenant                // of another tenant
	outcomeFailed                     // the revocation is not published
	outcomes                          // their number
)

// An applier turns events into revocations. Follow and Webhook share it.
type applier struct {
	guard  *auth0grpc.Interceptor
	config *Config
	seen   recent
	log    *limitedLog
}

func newApplier(guard *auth0grpc.Interceptor, config *Config) *applier {
	return &applier{guard: guard, config: config, log: &limitedLog{logger: config.Logger}}
}

// apply revokes the tokens that an event ends, and returns when the revocation is
// published. An error of Revoke comes with outcomeFailed, and with no other.
func (a *applier) apply(ctx context.Context, text []byte) (outcome, error) {
	result, e, err := a.evaluate(ctx, text)
	if result == outcomeFailed {
		return result, err
	}
	a.config.Monitor.count(result)
	var problem malformed
	switch {
	case result == outcomeOtherTenant:
		a.log.warn(ctx, "auth0grpcevents: refused an event of another tenant", "other tenant")
	case errors.As(err, &problem):
		a.log.warn(ctx, "auth0grpcevents: skipped a malformed event", string(problem), "problem", string(problem))
	case result == outcomeUnknown:
		a.log.warn(ctx, "auth0grpcevents: skipped an event of an unknown type or version", "unknown")
	case result == outcomeRevoked:
		a.config.Monitor.noteRevoked(e.time, a.config.Now())
	}
	return result, nil
}

// evaluate returns the outcome of an event. The error explains a malformed event,
// or the error of Revoke.
func (a *applier) evaluate(ctx context.Context, text []byte) (outcome, *event, error) {
	e, err := parseEvent(text)
	switch {
	case errors.Is(err, errOtherTenant):
		return outcomeOtherTenant, nil, nil
	case err != nil:
		return outcomeMalformed, nil, err
	case !e.known():
		return outcomeUnknown, e, nil
	case e.tenant != a.config.Tenant:
		return outcomeOtherTenant, e, nil
	case e.test:
		return outcomeTest, e, nil
	}
	r, ends, err := mappings[e.kind](e.object)
	switch {
	case err != nil:
		return outcomeMalformed, e, err
	case !ends:
		return outcomeUnrelated, e, nil
	}
	r.Issuer = a.config.Issuer
	r.IssuedBefore = a.issuedBefore(e.time)
	key := keyOf(e, &r)
	if a.seen.has(key) {
		return outcomeDuplicate, e, nil
	}
	if err := a.guard.Revoke(ctx, r); err != nil {
		return outcomeFailed, e, err
	}
	a.seen.add(key)
	return outcomeRevoked, e, nil
}

// issuedBefore returns the end of the second of an event: iat has whole seconds, and so
// may the time of the event. It returns the zero time, which covers the tokens issued
// until now, if the event lies far ahead of our clock. Otherwise a wrong clock would
// lock a user out until that time.
func (a *applier) issuedBefore(at time.Time) time.Time {
	if at.After(a.config.Now().Add(maxAhead)) {
		return time.Time{}
	}
	return at.Truncate(time.Second).Add(time.Second)
}

// A recentKey identifies an event and its revocation. Both matter: an id that is used
// for a second revocation must not suppress it.
type recentKey [sha256.Size]byte

func keyOf(e *event, r *auth0grpc.Revocation) recentKey {
	text, _ := json.Marshal([]string{e.id, e.kind, r.Subject, r.OrganizationID, e.time.UTC().String()}) // strings have no error
	return sha256.Sum256(text)
}

// recent remembers the last revocations that were published. The zero value is ready
// for use.
type recent struct {
	mu   sync.Mutex
	keys map[recentKey]struct{}
	ring []recentKey // in the order of their arrival
	next int         // the oldest, once the ring is full
}

func (r *recent) has(key recentKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.keys[key]
	return ok
}

func (r *recent) add(key recentKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		r.keys = map[recentKey]struct{}{}
	}
	if _, ok := r.keys[key]; ok { // two deliveries at once
		return
	}
	if len(r.ring) < rememberedEvents {
		r.ring = append(r.ring, key)
	} else {
		delete(r.keys, r.ring[r.next])
		r.ring[r.next] = key
		r.next = (r.next + 1) % rememberedEvents
	}
	r.keys[key] = struct{}{}
}
