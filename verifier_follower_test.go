package auth0grpc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
	"github.com/auth0grpc/auth0grpc/internal/tokencache"
)

// A caller whose context ends while another caller verifies the same token gets the
// code of its context. The other caller goes on.
func TestFollowerLeaves(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(context.Context) (context.Context, context.CancelFunc)
		code codes.Code
	}{
		{"canceled", context.WithCancel, codes.Canceled},
		{"deadline", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, codes.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			v := newVerifier(&Config{Algorithms: []string{"RS256"}, CacheSize: 10, Now: time.Now}, nil, nil)
			const raw = "header.payload.signature"
			release := make(chan struct{})
			verified := &claims{}
			first := make(chan *claims, 1)
			go func() { // holds the verification of this token
				c, err := v.cache.Verify(t.Context(), tokencache.KeyOf(raw), func() (*claims, error) {
					<-release
					return verified, nil
				})
				if err != nil {
					t.Errorf("%s: the first caller gets %v", test.name, err)
				}
				first <- c
			}()
			synctest.Wait()
			ctx, cancel := test.end(t.Context())
			defer cancel()
			type answer struct {
				c       *claims
				refused *refusal
			}
			got := make(chan answer, 1)
			go func() {
				c, refused := v.verifyOnce(ctx, &unverifiedToken{raw: raw}, tokencache.KeyOf(raw), []*keyset.Key{nil})
				got <- answer{c, refused}
			}()
			synctest.Wait()
			if test.code == codes.Canceled {
				cancel()
			}
			follower := <-got
			if follower.c != nil || follower.refused == nil || follower.refused.GRPCStatus().Code() != test.code {
				t.Errorf("%s: the caller that leaves gets %v, %v", test.name, follower.c, follower.refused)
			} else if !errors.Is(follower.refused, ctx.Err()) {
				t.Errorf("%s: the cause is %v", test.name, follower.refused)
			}
			close(release)
			if c := <-first; c != verified {
				t.Errorf("%s: the first caller gets %v", test.name, c)
			}
		})
	}
}
