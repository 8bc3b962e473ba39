// Package keyset keeps the public keys of one issuer. It fetches the issuer's
// discovery document (OpenID Connect Discovery 1.0) and the JWK Set that it
// names (RFC 7517). It finds keys by their id, and reports whether a key is
// still published. It does not depend on gRPC and does not read tokens.
//
// A [Set] does nothing before its first use. The age of the last good set,
// counted from its fetch, then decides how a call is served:
//
//	under 5 min      by the set
//	5 to 10 min      by the set, and one refresh runs in the background
//	10 min to 24 h   the call waits for the refresh; while refreshes fail, the
//	                 last good set serves without waiting
//	24 h and more    the set is not used: the call waits or fails with an
//	                 [UnavailableError]
//
// At most one fetch is in progress. It runs on its own goroutine and under its
// own time limit, so a caller that leaves does not stop it. After a failed
// attempt none starts for 30 s; a Retry-After can extend that to 5 min. An
// unknown key id causes at most one refetch per 30 s. So neither an outage nor a
// flood of made-up ids turns into load on the issuer.
//
// A good fetch replaces the whole set. A key whose id, public key and alg are
// unchanged keeps its *Key, so a comparison of pointers tells whether a key is
// still current.
//
// Ages are measured by the wall clock: the monotonic clock stops while a machine
// is suspended and would make an old set look young. If the clock was set back,
// an age is negative: the set then serves, and is refreshed at once.
package keyset

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	freshFor   = 5 * time.Minute
	staleAfter = 10 * time.Minute
	usableFor  = 24 * time.Hour

	// coolDown is the least time between a failed attempt and the next one,
	// and between two refetches for unknown key ids.
	coolDown = 30 * time.Second
	// maxCoolDown bounds the effect of a Retry-After: a mistaken or hostile one
	// of a year must not disable the issuer.
	maxCoolDown = 5 * time.Minute
	// minRetry is the shortest UnavailableError.RetryAfter.
	minRetry = time.Second

	// maxSearching bounds the callers that wait because of an unknown key id.
	// A stranger can make such ids up, and each waiter holds a call open.
	maxSearching = 128
)

// Config configures a [Set].
type Config struct {
	// Issuer is the exact issuer, for example "https://tenant.eu.auth0.com/".
	// The discovery URL is the issuer without a trailing "/" followed by
	// "/.well-known/openid-configuration". It must be an https URL, or an http
	// one on a loopback host; with anything else every fetch fails.
	Issuer string
	// Client makes the requests; nil means a new client. The Set copies it and does not
	// change it. The copy keeps no cookies and follows at most three redirects, none of
	// them to another scheme or host.
	Client *http.Client
	// Now is the clock; nil means time.Now. It must not use the Set.
	Now func() time.Time
	// Observe, if not nil, is called after each attempt, outside all locks and
	// after the callers that waited for it were released. Two attempts that
	// follow each other at once may be reported in either order. Observe may
	// panic: the Set recovers.
	Observe func(Refresh)
	// Loads bounds the fetches that [Set.Load] and [Set.TryLoad] start: each
	// occupies one place of the channel until it has ended. Several Sets may
	// share a channel. Nil means no bound.
	//
	// Fetches that calls start are not bounded by it. Otherwise issuers that
	// hang would delay the calls of healthy ones.
	Loads chan struct{}
}

// Refresh reports one attempt to fetch the keys.
type Refresh struct {
	Issuer string
	At     time.Time // when the attempt ended
	Keys   int       // usable keys after it; a failure leaves the keys that were there
	// Unused lists the keys of the fetched JWK Set that are not used, at most
	// 32 of them; Omitted counts the rest.
	Unused  []UnusedKey
	Omitted int
	Err     error // nil if it succeeded; its text is safe to log
}

// Set keeps the keys of one issuer. It is safe for concurrent use.
type Set struct {
	issuer  string
	now     func() time.Time
	observe func(Refresh)
	source  *source
	loads   chan struct{}

	snap atomic.Pointer[snapshot] // the last good set; stored under mu

	mu          sync.Mutex
	flight      *flight       // the fetch in progress, if any
	failure     error         // of the last attempt; nil if it succeeded
	failedAt    time.Time     // the end of that attempt
	coolDownFor time.Duration // the cool-down that follows it
	searchedAt  time.Time     // the start of the cool-down for unknown key ids
	searching   int           // callers that wait because of an unknown key id
}

// New returns the Set that config describes. It does no I/O and starts no
// goroutine: the keys are fetched on first use, or by [Set.Load].
func New(config Config) *Set {
	now := config.Now
	if now == nil {
		now = time.Now
	}
	return &Set{
		issuer:  config.Issuer,
		now:     now,
		observe: config.Observe,
		source:  newSource(config.Issuer, config.Client, now),
		loads:   config.Loads,
	}
}

// Keys returns the keys with the id kid that fit the JWS algorithm alg. That is
// one key as a rule, and up to three, in the order of the document, if the issuer
// published an id more than once. Keys fetches and waits as the package
// documentation says. The error is [ErrUnknownKey] if no such key is published or
// kid is empty, an [*UnavailableError] if the keys are unavailable, or ctx's own. While
// the set is fresh at the time now and has the id, Keys takes no lock, reads no clock and
// does not allocate.
func (s *Set) Keys(ctx context.Context, now time.Time, kid, alg string) ([]*Key, error) {
	if kid == "" {
		return nil, ErrUnknownKey
	}
	snap, err := s.current(ctx, now, kid)
	if err != nil {
		return nil, err
	}
	if !snap.has(kid) {
		if snap, err = s.search(ctx, kid); err != nil {
			return nil, err
		}
	}
	// A published key that does not fit is no reason to fetch: the token names
	// a wrong algorithm, and any number of tokens could.
	keys := snap.find(kid, alg)
	if len(keys) == 0 {
		return nil, ErrUnknownKey
	}
	return keys, nil
}

// Check returns nil if k is in the current set, [ErrUnknownKey] if it was
// withdrawn, an [*UnavailableError] if the keys are unavailable, or ctx's own
// error. It refreshes the set as Keys does. While the set is fresh at the time
// now, Check takes no lock, reads no clock and does not allocate.
func (s *Set) Check(ctx context.Context, now time.Time, k *Key) error {
	snap, err := s.current(ctx, now, "")
	if err != nil {
		return err
	}
	if k == nil || !snap.contains(k) {
		return ErrUnknownKey
	}
	return nil
}

// Probe reports whether the last good set has a key with the id kid, and
// whether there is a last good set, of any age. It causes no fetch.
func (s *Set) Probe(kid string) (known, loaded bool) {
	snap := s.snap.Load()
	if snap == nil {
		return false, false
	}
	return kid != "" && snap.has(kid), true
}

// Age returns how old the last good set is at the time now, and whether there
// is one. The age is negative if the clock was set back since.
func (s *Set) Age(now time.Time) (age time.Duration, ok bool) {
	snap := s.snap.Load()
	if snap == nil {
		return 0, false
	}
	return now.Sub(snap.at), true
}

// Loaded reports whether usable keys are loaded. It causes no fetch.
func (s *Set) Loaded() bool { return s.snap.Load().stage(s.now()) != absent }

// Load returns nil if usable keys are loaded. Otherwise it waits for the fetch
// in progress or for one that it starts, and returns an [*UnavailableError] if
// that fails, or ctx's own error. Config.Loads can make it wait as well.
//
// No cool-down holds it back: it is for the operator, at start-up.
func (s *Set) Load(ctx context.Context) error { return s.load(ctx, true) }

// TryLoad is Load for callers that repeat it, such as a readiness probe: during
// the cool-down after a failed fetch it returns that failure and starts none.
func (s *Set) TryLoad(ctx context.Context) error { return s.load(ctx, false) }

func (s *Set) load(ctx context.Context, force bool) error {
	if s.Loaded() {
		return nil
	}
	f, err := s.joinOrStart(ctx, force)
	if err != nil || f == nil {
		return err
	}
	if _, err := f.wait(ctx, nil); err != nil {
		return err
	}
	if f.err != nil {
		return s.unavailable(f.err)
	}
	return nil
}

// joinOrStart returns the flight to wait for, or nil if the keys are loaded.
func (s *Set) joinOrStart(ctx context.Context, force bool) (*flight, error) {
	release, err := s.occupy(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	switch {
	case s.snap.Load().stage(now) != absent: // loaded while this call waited for a place
		release()
		return nil, nil
	case s.flight != nil:
		release()
		return s.flight, nil
	case !force && s.coolingDown(now):
		release()
		return nil, &UnavailableError{RetryAfter: s.retryAfter(now), Err: s.failure}
	}
	return s.start(release), nil
}

// occupy takes a place for a fetch and returns the function that frees it.
func (s *Set) occupy(ctx context.Context) (release func(), err error) {
	if s.loads == nil {
		return func() {}, nil
	}
	select {
	case s.loads <- struct{}{}:
		return func() { <-s.loads }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("keyset: waiting to fetch keys: %w", ctx.Err())
	}
}
