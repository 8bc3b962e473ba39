package auth0grpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

// A Revocation says which tokens are not to be accepted any more: those that
// agree in every field that is not empty. Auth0 cannot revoke an access token
// that it has issued; this does, at the servers that hear of it.
type Revocation struct {
	Subject        string // sub
	ClientID       string // azp or client_id
	OrganizationID string // org_id
	TokenID        string // jti, which Auth0's RFC 9068 profile has
	// IssuedBefore spares tokens issued at or after it, so that whoever logs in
	// again is let in again. Zero means now, at Revoke. It alone, with no other
	// field, means every token issued before it.
	IssuedBefore time.Time
}

// A RevocationFeed carries revocations between the replicas of a service. Its
// methods are safe for concurrent use. NewRevocationFeed is one for a single
// process; module auth0grpcredis has one on Redis Streams.
type RevocationFeed interface {
	// Publish hands a revocation to every follower, now and later.
	Publish(ctx context.Context, r Revocation) error
	// Follow calls apply, one call at a time, for each revocation that can still
	// match a token and then for each one that is published, until ctx ends, whose
	// error it returns. While the feed is out of reach it goes on trying and calls
	// gap with the reason; once it is back it catches up on all that it missed.
	Follow(ctx context.Context, apply func(Revocation), gap func(error)) error
}

// defaultMaxTokenLife is Auth0's default for an API's access tokens.
const defaultMaxTokenLife = 24 * time.Hour

var errEmptyRevocation = errors.New("auth0grpc: a revocation without any field would match every token; set IssuedBefore if that is meant")

// Revoke refuses, from now on, every token that r matches, cached or new, with
// the reason TOKEN_REVOKED, and ends the streams that were opened with one. It
// then publishes r to Config.RevocationFeed; an error of that is returned, and
// what was done here stays done. The revocation forgets itself when Config's
// MaxTokenLife has passed.
func (i *Interceptor) Revoke(ctx context.Context, r Revocation) error {
	if i.verifier == nil || r == (Revocation{}) {
		return errEmptyRevocation
	}
	if r.IssuedBefore.IsZero() {
		r.IssuedBefore = i.verifier.now()
	}
	i.applyRevocation(r)
	if i.feed == nil {
		return nil
	}
	if err := i.feed.Publish(ctx, r); err != nil {
		return fmt.Errorf("auth0grpc: revoked here, but publishing failed: %w", err)
	}
	return nil
}

// FollowRevocations applies what Config.RevocationFeed brings, until ctx ends,
// whose error it returns. Run it on a goroutine of its own for as long as the
// server runs. While the feed is out of reach, what is known here goes on to be
// refused, and Config.Logger hears of the gap.
func (i *Interceptor) FollowRevocations(ctx context.Context) error {
	if i.feed == nil {
		return errors.New("auth0grpc: Config.RevocationFeed is not set")
	}
	return i.feed.Follow(ctx, i.applyRevocation, func(err error) {
		i.logger.WarnContext(ctx, "auth0grpc: revocations of other replicas may be missing", "error", err)
	})
}

func (i *Interceptor) applyRevocation(r Revocation) {
	i.verifier.revoked.Add(revocation.Match(r), i.verifier.now(), r.IssuedBefore.Add(i.verifier.maxTokenLife+i.verifier.skew))
	i.endRevoked()
}

// checkRevoked looks a token up in the list of revocations, once for each state
// of the list: most calls compare two numbers.
func (v *verifier) checkRevoked(c *claims, now time.Time) *refusal {
	generation := v.revoked.Generation()
	if c.clearedAt.Load() == generation {
		return nil
	}
	if v.revoked.Revoked(c.revocable(), now) {
		return refusedRevoked
	}
	c.clearedAt.Store(generation)
	return nil
}

func (c *claims) revocable() revocation.Token {
	return revocation.Token{
		Subject: c.subject, ClientID: c.clientID, OrganizationID: c.organizationID,
		TokenID: c.tokenID, IssuedAt: c.issuedAt,
	}
}

// localFeed is the RevocationFeed of one process.
type localFeed struct {
	life time.Duration
	now  func() time.Time

	mu        sync.Mutex
	log       []Revocation
	dropped   int           // how many were cut off at the front of log
	published chan struct{} // closed and replaced at each Publish
}

// NewRevocationFeed returns a RevocationFeed for several Interceptors in one
// process. maxTokenLife is how long it remembers a revocation: the longest life
// of a token, as in Config.MaxTokenLife; 0 means 24 hours.
func NewRevocationFeed(maxTokenLife time.Duration) RevocationFeed {
	if maxTokenLife <= 0 {
		maxTokenLife = defaultMaxTokenLife
	}
	return &localFeed{life: maxTokenLife, now: time.Now, published: make(chan struct{})}
}

func (f *localFeed) Publish(_ context.Context, r Revocation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.log) > 0 && f.now().After(f.log[0].IssuedBefore.Add(f.life)) {
		f.log = f.log[1:]
		f.dropped++
	}
	f.log = append(f.log, r)
	close(f.published)
	f.published = make(chan struct{})
	return nil
}

func (f *localFeed) Follow(ctx context.Context, apply func(Revocation), _ func(error)) error {
	next := 0 // counted from the first that was ever published
	for {
		f.mu.Lock()
		news := f.log[max(next-f.dropped, 0):]
		next = f.dropped + len(f.log)
		published := f.published
		f.mu.Unlock()
		for _, r := range news {
			apply(r)
		}
		select {
		case <-published:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
