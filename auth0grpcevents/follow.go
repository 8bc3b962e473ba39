package auth0grpcevents

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

const (
	minPause = 250 * time.Millisecond // after the first failure; doubles
	maxPause = 30 * time.Second
	// maxTokenPause is the longest pause while the API answers 401: each attempt may
	// cost a token, and tenants have a quota of them.
	maxTokenPause = 5 * time.Minute
	closePause    = 500 * time.Millisecond // after a regular close, if Auth0 states none

	maxFeedPause = 5 * time.Second // between two attempts to publish
	saveInterval = time.Second     // between two offsets without a revocation
	storeTimeout = 5 * time.Second // of one call to the store
	tokenTimeout = time.Minute     // of one call to the token source
)

// Follow consumes the Events API of a tenant and revokes, through the Interceptor, the
// tokens of each user that is blocked or deleted, of each member that leaves an
// organization or loses a role in it, and of each organization that is deleted. Open
// streams with such a token end. Run it on its own goroutine for as long as the server
// runs.
//
// With a Store that the replicas share, one of them leads: it follows the tenant and
// publishes the revocations to auth0grpc.Config.RevocationFeed. If it ends or crashes,
// another one continues after the last event whose revocation is published. Every
// replica calls Follow and FollowRevocations.
//
// Follow connects again after a cut, a failure of Auth0 and a stream without
// heartbeats, and goes on after the last event. If Auth0 does not have that position any
// more, it reads the events of the last Config.MaxTokenLifetime again. An event that
// comes twice or out of order changes nothing. An event is not passed over until its
// revocation is published.
//
// It returns the error of ctx when that ends. It returns all faults of config at once,
// and an [*APIError] if the token lacks the scope read:events, which a retry does not
// change. It retries after all other failures; [Monitor.Stats] and Config.Logger report
// them.
func Follow(ctx context.Context, guard *auth0grpc.Interceptor, config Config) error {
	complete, err := config.complete(guard, true, false)
	if err != nil {
		return err
	}
	f := &follower{
		config:  complete,
		applier: newApplier(guard, complete),
		client:  complete.client(),
		api:     outage{config: complete, service: "the Events API"},
		lease:   outage{config: complete, service: "the lease in the store"},
		store:   outage{config: complete, service: "the store"},
		feed:    outage{config: complete, service: "the revocation feed"},
	}
	for {
		term, until := f.campaign(ctx)
		if term == 0 {
			return ctx.Err()
		}
		if err := f.lead(ctx, term, until); err != nil {
			return err
		}
	}
}

// A follower is one call of Follow.
type follower struct {
	config  *Config
	applier *applier
	client  *http.Client

	// The calls of Lead have an outage of their own. A store may renew leases and still
	// not load or save, and each renewal would end that outage.
	api, lease, store, feed outage
}

// campaign waits until this process leads. It returns the term and the end of the
// lease, or 0 when ctx ends.
func (f *follower) campaign(ctx context.Context) (term uint64, until time.Time) {
	for ctx.Err() == nil {
		until = time.Now().Add(f.config.LeaseDuration)
		term, err := f.callLead(ctx, until)
		switch {
		case ctx.Err() != nil:
			// The lease of a call that was broken off expires by itself.
		case err != nil:
			f.lease.begin(ctx, err)
		case term != 0:
			f.lease.end(ctx)
			return term, until
		default: // another process leads, so this one does not load or save
			f.lease.end(ctx)
			f.store.end(ctx)
		}
		sleep(ctx, jitter(f.config.LeaseDuration/3))
	}
	return 0, time.Time{}
}

// callLead takes or renews the lease. It waits no longer than until: a lease that is
// taken later would end earlier than this process knows.
func (f *follower) callLead(ctx context.Context, until time.Time) (term uint64, err error) {
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return f.config.Store.Lead(ctx, f.config.Tenant, f.config.LeaseDuration)
}

// lead follows the tenant until this process does not lead any more, or ctx ends. The
// error is one after which Follow gives up.
func (f *follower) lead(ctx context.Context, term uint64, until time.Time) error {
	logger, monitor := f.config.Logger, f.config.Monitor
	logger.InfoContext(ctx, "auth0grpcevents: this process follows the tenant", "tenant", f.config.Tenant, "term", term)
	monitor.noteLeader(true)
	leading, stop := context.WithCancel(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		defer stop()
		f.renew(leading, term, until)
	}()
	s := &session{follower: f, term: term}
	err := s.run(leading)
	stop()
	<-renewed
	monitor.noteLeader(false)
	logger.InfoContext(ctx, "auth0grpcevents: this process has stopped following the tenant", "tenant", f.config.Tenant, "term", term)

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	_ = f.config.Store.Resign(ctx, f.config.Tenant, term) // otherwise the lease expires
	return err
}

// renew renews the lease until ctx ends. It returns earlier if another process leads,
// or if the lease cannot be renewed before it ends.
func (f *follower) renew(ctx context.Context, term uint64, until time.Time) {
	for sleep(ctx, min(f.config.LeaseDuration/3, time.Until(until))) {
		began := time.Now()
		current, err := f.callLead(ctx, until)
		switch {
		case ctx.Err() != nil || err == nil && current != term:
			return
		case err == nil:
			f.lease.end(ctx)
			until = began.Add(f.config.LeaseDuration)
			continue
		}
		f.lease.begin(ctx, err)
		if !time.Now().Before(until) {
			return
		}
	}
}

// A session is the work of a leader in one term.
type session struct {
	*follower
	term uint64

	position position
	saved    string    // the offset in the store
	savedAt  time.Time // of the last attempt
	ahead    time.Duration
	failures int           // in a row
	retry    time.Duration // stated by Auth0 for the next connection
	refused  string        // a token that the API answered with 401
	tooLarge bool          // the last connection ended before an event that is too large
}

// run follows the tenant until ctx ends.
func (s *session) run(ctx context.Context) error {
	s.load(ctx)
	for ctx.Err() == nil {
		end := s.connect(ctx)
		s.config.Monitor.update(func(stats *Stats) { stats.Connected = false })
		saved := s.save(context.WithoutCancel(ctx))
		switch {
		case ctx.Err() != nil || saved != nil || errors.Is(end.cause, ErrNotLeader):
			return nil
		case end.fatal:
			s.api.begin(ctx, end)
			return end
		case end.progressed:
			s.failures = 0
		}
		if !end.moved && !(end.closed && end.progressed) {
			s.failures++
		}
		if !end.closed || s.failures > 1 {
			s.api.begin(ctx, end)
		}
		sleep(ctx, s.pause(end))
	}
	return nil
}

// pause returns how long to wait after a connection.
func (s *session) pause(end *APIError) time.Duration {
	pause := closePause
	if s.retry > 0 {
		pause = s.retry
	}
	longest := maxPause
	if end.Status == http.StatusUnauthorized {
		longest = maxTokenPause
	}
	if s.failures > 0 {
		pause = min(max(pause, minPause)<<min(s.failures-1, 16), longest)
	}
	return max(end.wait, jitter(pause))
}

// load sets the position after the stored offset.
func (s *session) load(ctx context.Context) {
	for ctx.Err() == nil {
		offset, err := s.callLoad(ctx)
		if err == nil && len(offset) <= maxOffset {
			s.store.end(ctx)
			s.saved, s.position = offset, s.start(offset)
			return
		}
		if ctx.Err() == nil && err == nil { // not one of ours
			s.position = s.start("")
			return
		}
		s.store.begin(ctx, err)
		sleep(ctx, jitter(s.config.LeaseDuration/3))
	}
}

func (s *session) callLoad(ctx context.Context) (offset string, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.config.Store.Load(ctx, s.config.Tenant)
}

// save stores the offset of the position, unless it is stored. While the store fails,
// the offset stays in memory, and a successor reads some events again.
func (s *session) save(ctx context.Context) error {
	if s.position.offset == "" || s.position.offset == s.saved {
		return nil
	}
	s.savedAt = time.Now()
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := s.config.Store.Save(ctx, s.config.Tenant, s.term, s.position.offset)
	switch {
	case err == nil:
		s.store.end(ctx)
		s.saved = s.position.offset
	case errors.Is(err, ErrNotLeader):
		return err
	case caller.Err() == nil:
		s.store.begin(ctx, err)
	}
	return nil
}

// advance moves the position after an event.
func (s *session) advance(ctx context.Context, offset string, revoked bool) error {
	if offset == "" {
		return nil
	}
	s.position, s.tooLarge = position{offset: offset}, false
	s.api.end(ctx)
	if ctx.Err() != nil || !revoked && time.Since(s.savedAt) < saveInterval {
		return nil // run saves it at the end of the connection
	}
	return s.save(ctx)
}

// publish applies an event. While the revocation cannot be published it tries again, so
// no event is passed over. It returns when ctx ends.
func (s *session) publish(ctx context.Context, text []byte) outcome {
	for pause := minPause; ; pause = min(2*pause, maxFeedPause) {
		result, err := s.applier.apply(ctx, text)
		if result != outcomeFailed || ctx.Err() != nil {
			if result == outcomeRevoked {
				s.feed.end(ctx)
			}
			return result
		}
		s.feed.begin(ctx, err)
		if !sleep(ctx, jitter(pause)) {
			return outcomeFailed
		}
	}
}

// jitter returns a time between half of d and d, so that many processes do not act at
// the same moment.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// sleep reports whether d has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
