package auth0grpc_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// The feed of a process remembers one revocation for each set of fields, and forgets
// expired ones, in any order.
func TestRevocationFeedForgets(t *testing.T) {
	feed := auth0grpc.NewRevocationFeed(time.Hour)
	publish := func(r auth0grpc.Revocation) {
		t.Helper()
		if err := feed.Publish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	all := func() (heard []auth0grpc.Revocation) {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		_ = feed.Follow(ctx, func(r auth0grpc.Revocation) { heard = append(heard, r) }, nil)
		return heard
	}
	now := time.Now()
	publish(auth0grpc.Revocation{Subject: "banned", IssuedBefore: now.AddDate(100, 0, 0)}) // keeps nothing else
	for n := range 10_000 {
		publish(auth0grpc.Revocation{Subject: "one user", IssuedBefore: now.Add(time.Duration(n) * time.Second)})
		publish(auth0grpc.Revocation{TokenID: fmt.Sprint(n), IssuedBefore: now.Add(-2 * time.Hour)})
	}
	publish(auth0grpc.Revocation{Subject: "one user", IssuedBefore: now}) // covered
	publish(auth0grpc.Revocation{Subject: "last", IssuedBefore: now})
	heard := all()
	if n := len(heard); n > 5 {
		t.Errorf("%d revocations are held, want 3 and few that have expired", n)
	}
	if heard[0].Subject != "banned" || heard[len(heard)-1].Subject != "last" ||
		!slices.Contains(heard, auth0grpc.Revocation{Subject: "one user", IssuedBefore: now.Add(9999 * time.Second)}) {
		t.Errorf("heard %v", heard)
	}
	if err := feed.Publish(t.Context(), auth0grpc.Revocation{}); err == nil {
		t.Error("an empty revocation was published")
	}
	publish(auth0grpc.Revocation{Subject: "no time"})
	if heard := all(); heard[len(heard)-1].IssuedBefore.Before(now) {
		t.Errorf("%v: want now", heard[len(heard)-1])
	}
}

// Followers that are slow, or stand at a removed entry, receive all revocations that
// are still remembered.
func TestFollowWhileEntriesAreRemoved(t *testing.T) {
	feed := auth0grpc.NewRevocationFeed(time.Hour)
	publish := func(id string, second int) {
		if err := feed.Publish(t.Context(), auth0grpc.Revocation{TokenID: id, IssuedBefore: time.Now().Add(time.Duration(second) * time.Second)}); err != nil {
			t.Error(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var heard []string
	publish("1", 0)
	_ = feed.Follow(ctx, func(r auth0grpc.Revocation) {
		heard = append(heard, r.TokenID)
		switch r.TokenID {
		case "1": // the entry of the follower and each later one are superseded in turn
			if len(heard) > 1 {
				publish("done", 0)
				return
			}
			publish("2", 0)
			publish("1", 1)
			publish("2", 1)
			publish("3", 0)
			for n := range 1000 {
				publish("4", n)
			}
			publish("3", 1)
			publish("end", 0)
		case "done":
			stop()
		}
	}, nil)
	last := func(id string) int { return slices.Index(heard, id) }
	for _, id := range []string{"1", "2", "3", "4", "end", "done"} {
		if last(id) < 0 {
			t.Errorf("%q is missing in %q", id, heard)
		}
	}
	if len(heard) > 20 {
		t.Errorf("%d revocations were applied", len(heard))
	}
}
