package auth0grpc_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// 64 goroutines call while keys are rotated and revoked and the tenant goes down and
// comes back: a good token never gets a verdict of bad, at worst unavailable keys, and
// a forged one never passes.
func TestNoWrongDecisionUnderChange(t *testing.T) {
	f := newFixture(t, failingProvider)
	f.provider.good["exp"] = today.Add(300 * 24 * time.Hour).Unix()
	intercept := f.guard.UnaryServerInterceptor()
	call := func(token string) string {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+token))
		_, err := intercept(ctx, nil, &grpc.UnaryServerInfo{FullMethod: unaryCall}, func(context.Context, any) (any, error) { return nil, nil })
		return worded(err)
	}
	forged := []string{f.unknownKey(), f.badSignature(), f.tenant.Sign(map[string]any{"alg": "none"}, f.claimsOf("none"))}

	// The key of a token is published until it was rotated out twice, or once and then
	// revoked; ends counts the events that can end one.
	var ends, ok atomic.Int64
	pace := make(chan struct{}, 1)
	var calls, changes sync.WaitGroup
	for g := range 64 {
		calls.Go(func() {
			for i := range 30 {
				minted := ends.Load()
				got := call(f.newToken(fmt.Sprint(g, i)))
				switch {
				case got == "OK":
					ok.Add(1)
				case got == "KEYS_UNAVAILABLE":
				case ends.Load() == minted:
					t.Errorf("a good token gets %s", got)
				}
				if got := call(forged[i%len(forged)]); got == "OK" {
					t.Error("a forged token passes")
				}
				select {
				case pace <- struct{}{}:
				default:
				}
			}
		})
	}
	changes.Go(func() {
		change := 0
		for range pace {
			// Minutes pass here in no time. Without this, an answer of the tenant
			// could be hours old when it arrives.
			for f.provider.busy.Load() > 0 {
				runtime.Gosched()
			}
			switch change++; change % 8 {
			case 0:
				f.tenant.SetDown(true)
			case 4:
				f.tenant.SetDown(false)
			case 2:
				ends.Add(1)
				f.tenant.RotateKeys()
			case 3:
				ends.Add(1)
				f.tenant.RevokePreviousKey()
			}
			f.clock.Advance(time.Minute)
		}
	})
	calls.Wait()
	close(pace)
	changes.Wait()
	if ok.Load() == 0 {
		t.Error("no call passed")
	}
}
