package auth0grpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// Ready loads the keys of every issuer that has none. The error names each
// issuer that failed and wraps [ErrKeysUnavailable]. Keys that are loaded are
// not fetched again. At most 16 fetches run at once.
//
// Call it before serving. The next call repeats a failed fetch immediately, and one
// failing issuer of many makes Ready fail: a readiness probe should call
// [Interceptor.ReadyAny]. A server need not wait for Ready: keys are also fetched
// when the first token of their issuer arrives.
func (i *Interceptor) Ready(ctx context.Context) error {
	if i.verifier == nil {
		return ErrKeysUnavailable
	}
	return i.verifier.ready(ctx)
}

// ReadyAny returns nil if the keys of at least one issuer are loaded. It is for
// readiness probes: an outage of one tenant does not take the replica out of service
// for the customers of other tenants.
//
// If no keys are loaded, it fetches them as [Interceptor.Ready] does, and returns as
// soon as one issuer has keys. After a failed fetch it does not contact that issuer
// again for 30 seconds, or for the Retry-After of the issuer up to 5 minutes. The error
// names each issuer and wraps [ErrKeysUnavailable]. Issuers without keys are fetched
// when their first token arrives; [Stats] lists the others.
func (i *Interceptor) ReadyAny(ctx context.Context) error {
	if i.verifier == nil {
		return ErrKeysUnavailable
	}
	return i.verifier.readyAny(ctx)
}

// ready loads the keys of every issuer and reports the issuers that failed.
func (v *verifier) ready(ctx context.Context) error {
	results := v.loadKeys(ctx, (*keyset.Set).Load)
	var errs []error
	for range v.issuers {
		if err := <-results; err != nil {
			errs = append(errs, err)
		}
	}
	return joinSorted(errs)
}

// readyAny returns nil if the keys of one issuer are loaded, and loads keys only
// if there are none.
func (v *verifier) readyAny(ctx context.Context) error {
	for _, iss := range v.issuers {
		if iss.keys.Loaded() {
			return nil
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the loads that still wait for a place
	results := v.loadKeys(ctx, (*keyset.Set).TryLoad)
	var errs []error
	for range v.issuers {
		err := <-results
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return joinSorted(errs)
}

// loadKeys calls load for every issuer at once and returns a channel that
// receives one result of each.
func (v *verifier) loadKeys(ctx context.Context, load func(*keyset.Set, context.Context) error) <-chan error {
	results := make(chan error, len(v.issuers))
	for name, iss := range v.issuers {
		go func() {
			err := load(iss.keys, ctx)
			if err != nil {
				err = fmt.Errorf("%w: issuer %s: %w", ErrKeysUnavailable, name, err)
			}
			results <- err
		}()
	}
	return results
}

func joinSorted(errs []error) error {
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}
