package auth0grpcclient_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
)

// Streams of a second and more follow each other without a pause, however many. Below two
// seconds none is renewed ahead; from then on each is.
func TestFollowStreamsOfSeconds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		limit   time.Duration
		opened  int // at least; a pause would make them fewer
		expired int // exactly
	}{
		{time.Second, 20, 19}, {1900 * time.Millisecond, 11, 10}, {2 * time.Second, 18, 0},
	} {
		t.Run(test.limit.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &journal{messages: 199, life: 24 * time.Hour, limit: test.limit}
				c := newCredentials(t, offline(j.fetch))
				handle, check := wantAll(t)
				if err := auth0grpcclient.Follow(t.Context(), c, j.open(c), handle); err != nil {
					t.Fatal(err)
				}
				check(j.messages)
				if len(j.opened) < test.opened || len(j.opened) > 20 || j.expired != test.expired || len(j.issued) != 1 {
					t.Errorf("%d streams, %d ended by the server, %d tokens; want %d, %d, 1", len(j.opened), j.expired, len(j.issued), test.opened, test.expired)
				}
			})
		})
	}
}

// Only short streams in a row count: five of them, again and again, with a long or a
// renewed one between, are followed.
func TestFollowCountsShortStreamsInARow(t *testing.T) {
	t.Parallel()
	for _, between := range []time.Duration{time.Second, 4 * time.Second} {
		t.Run(between.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &journal{messages: 600, life: 24 * time.Hour}
				c := newCredentials(t, offline(j.fetch))
				handle, check := wantAll(t)
				open := j.open(c)
				streams := 0
				err := auth0grpcclient.Follow(t.Context(), c, func(ctx context.Context, last *int) (grpc.ServerStreamingClient[int], error) {
					if streams++; streams%6 == 0 {
						j.limit = between
					} else {
						j.limit = 10 * time.Millisecond
					}
					return open(ctx, last)
				}, handle)
				if err != nil {
					t.Fatalf("after %d streams: %v", streams, err)
				}
				check(j.messages)
				if streams < 12 {
					t.Errorf("%d streams", streams)
				}
			})
		})
	}
}

// When a stream has ended, no token is fetched for the next one.
func TestFollowStopsRenewing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &journal{messages: 5, life: 100 * time.Second}
		c := newCredentials(t, offline(j.fetch))
		handle, check := wantAll(t)
		if err := auth0grpcclient.Follow(t.Context(), c, j.open(c), handle); err != nil {
			t.Fatal(err)
		}
		check(j.messages)
		<-time.After(j.life) // by the clock of the bubble
		if len(j.issued) != 1 {
			t.Errorf("%d tokens for one stream", len(j.issued))
		}
	})
}
