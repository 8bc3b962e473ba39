package auth0grpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc/internal/relation"
)

// A RelationChecker tells whether the subject of a token has a relation to an object. A
// program can have any engine behind it; package auth0grpcfga has OpenFGA, Auth0 FGA and
// AuthZEN. It must be safe for concurrent use.
type RelationChecker interface {
	// CheckRelation returns the answer to the query. An error means that there is none,
	// and the call is refused with [ErrRelationsUnavailable]. If the engine rejects the
	// query itself, such as an unknown relation, the error must wrap
	// [ErrRuleMisconfigured].
	//
	// ctx ends after [RelationConfig.Timeout]. A positive answer is reused for other calls
	// of the same subject, client, organization and actor, of any method. So it must
	// depend on no other claim.
	CheckRelation(ctx context.Context, query RelationQuery) (allowed bool, err error)
}

// A RelationQuery asks whether the subject of Token has Relation to Object.
type RelationQuery struct {
	Token      *Token
	FullMethod string // of the call, for logs
	Relation   string // as in [Rule.Relation]
	Object     string // a type, ":" and an id: "order:7"
}

// RelationCheckerFunc is a function as a [RelationChecker].
type RelationCheckerFunc func(ctx context.Context, query RelationQuery) (allowed bool, err error)

// CheckRelation calls f.
func (f RelationCheckerFunc) CheckRelation(ctx context.Context, query RelationQuery) (bool, error) {
	return f(ctx, query)
}

// RelationConfig bounds the use of [Config.RelationChecker].
type RelationConfig struct {
	// Timeout bounds a check. A call that waits longer is refused with
	// [ReasonRelationsUnavailable]. Default 1 second.
	Timeout time.Duration

	// CacheLifetime is how long a positive answer is reused. A relation that the engine
	// loses is accepted for this time. Negative answers are not reused. Default 5
	// seconds; [NoCache] disables the cache.
	CacheLifetime time.Duration

	// CacheSize is the number of positive answers in the cache, about 110 bytes each.
	// Default 10,000.
	CacheSize int

	// MaxChecks is the number of checks in progress. Calls beyond it are refused with
	// [ReasonRelationsUnavailable]. Calls with the same question share a check. Default
	// 256.
	MaxChecks int
}

func (c RelationConfig) withDefaults() RelationConfig {
	if c.Timeout == 0 {
		c.Timeout = time.Second
	}
	if c.CacheLifetime == 0 {
		c.CacheLifetime = 5 * time.Second
	}
	if c.CacheSize == 0 {
		c.CacheSize = 10_000
	}
	if c.MaxChecks == 0 {
		c.MaxChecks = 256
	}
	return c
}

// relations asks the RelationChecker.
type relations struct {
	checker  RelationChecker
	cache    *relation.Cache
	logPanic func(ctx context.Context, stack []byte)
}

// newRelations returns the function that asks the checker, or nil without one.
func newRelations(checker RelationChecker, config RelationConfig, now func() time.Time, logPanic func(context.Context, []byte)) relationAsker {
	if checker == nil {
		return nil
	}
	r := &relations{checker: checker, logPanic: logPanic, cache: relation.New(relation.Limits{
		Timeout: config.Timeout, Lifetime: config.CacheLifetime, Entries: config.CacheSize, Checks: config.MaxChecks,
		IsBadQuestion: func(err error) bool { return errors.Is(err, ErrRuleMisconfigured) },
	}, now)}
	return r.ask
}

// ask returns whether the subject of the token has the relation, or the refusal of a call
// that has no answer.
func (r *relations) ask(ctx context.Context, t *Token, fullMethod, name, object string) (bool, *refusal) {
	key := relation.Key{
		Issuer: t.issuer, Subject: t.subject, Client: t.clientID, Organization: t.organizationID, Actor: t.Actor(),
		Relation: name, Object: object,
	}
	allowed, err := r.cache.Allowed(ctx, key, func(ctx context.Context) (bool, error) {
		return r.check(ctx, RelationQuery{Token: t, FullMethod: fullMethod, Relation: name, Object: object})
	})
	switch {
	case err == nil:
		return allowed, nil
	case ctx.Err() != nil:
		return false, contextRefusal(ctx.Err())
	case errors.Is(err, ErrRuleMisconfigured):
		return false, refusedMisconfigured.withCause(&checkerError{err})
	}
	return false, refusedRelations.withCause(&checkerError{err})
}

// check calls the checker. A panic is no answer.
func (r *relations) check(ctx context.Context, query RelationQuery) (allowed bool, err error) {
	defer func() {
		if recover() != nil {
			r.logPanic(ctx, debug.Stack())
			allowed, err = false, errCheckerPanicked
		}
	}()
	return r.checker.CheckRelation(ctx, query)
}

var (
	errCheckerPanicked = errors.New("auth0grpc: Config.RelationChecker panicked")
	errNoChecker       = errors.New("auth0grpc: no RelationChecker is configured")
	errBadRelation     = errors.New("auth0grpc: the relation has a character that no relation can have")
)

// A checkerError is an error of the checker. Its text leaves out the text of that error,
// which may name objects and subjects.
type checkerError struct{ err error }

func (e *checkerError) Error() string {
	for _, known := range []error{relation.ErrTimeout, relation.ErrBusy, relation.ErrPaused, errCheckerPanicked} {
		if errors.Is(e.err, known) {
			return known.Error()
		}
	}
	return fmt.Sprintf("auth0grpc: the RelationChecker returned an error of type %T", e.err)
}

func (e *checkerError) Unwrap() error { return e.err }

// Allowed reports whether the caller has the relation to the object, such as "order:7".
// It is for handlers, where no [Rule.Relation] can name the object: after a look-up, or
// for each element of a list. ctx is the context of the call. Allowed asks
// [Config.RelationChecker] with the token of the call, and shares its cache and bounds.
//
// It reports false for an object without a type or an id, one longer than 256 bytes, and
// an id with ":", "#", "*", "@", white space or a control character. The caller must not
// choose the type: build the object from a constant type and an id.
//
// An error means that there is no answer, so the handler must not go on. It has a status
// for the client: Unavailable if the checker is down, Unauthenticated without a token, and
// Internal without a checker.
func Allowed(ctx context.Context, relation, object string) (bool, error) {
	t, ok := TokenFromContext(ctx)
	switch {
	case !ok:
		return false, refusedMissingToken.underHandler()
	case t.ask == nil:
		return false, refusedMisconfigured.withCause(errNoChecker).underHandler()
	case relation == "" || len(relation) > maxRelation || !isPlainID(relation):
		return false, refusedMisconfigured.withCause(errBadRelation).underHandler()
	case !isObject(object):
		return false, nil
	}
	fullMethod, _ := grpc.Method(ctx)
	allowed, refused := t.ask(ctx, t, fullMethod, relation, object)
	if refused != nil {
		return false, refused.underHandler()
	}
	return allowed, nil
}
