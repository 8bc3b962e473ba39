package auth0grpc_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// Without a hook the log has one warning per outage and issuer, and one on recovery.
func TestKeyOutagesAreLogged(t *testing.T) {
	var log sink
	tenant, now := newTenant(t)
	other := auth0grpctest.NewTenant(t)
	config := configFor(tenant, now)
	config.Issuers = append(config.Issuers, other.Issuer())
	config.Logger = log.logger()
	guard := mustNew(t, config)
	attempt := func() {
		t.Helper()
		now.Advance(10 * time.Minute) // past every cool-down
		_ = guard.Ready(t.Context())
	}
	check := func(step string, want ...string) {
		t.Helper()
		text := log.take()
		for strings.Count(text, "level=WARN") < len(want) && t.Context().Err() == nil { // an attempt is reported after Ready has returned
			runtime.Gosched()
			text += log.take()
		}
		if n := strings.Count(text, "level=WARN"); n != len(want) || strings.Count(text, "\n") != n {
			t.Errorf("%s: %d warnings, want %d:\n%s", step, n, len(want), text)
		}
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: want %q in\n%s", step, part, text)
			}
		}
	}
	tenant.SetDown(true)
	other.SetDown(true)
	attempt()
	check("outage", "cannot be fetched\" issuer="+tenant.Issuer()+" keys=0 error=", "issuer="+other.Issuer())
	for range 5 {
		attempt()
	}
	check("outage goes on")
	tenant.SetDown(false)
	attempt()
	check("recovery", `available again" issuer=`+tenant.Issuer()+" keys=")
	attempt()
	check("after the recovery")
	other.SetDown(false)
	attempt()
	check("recovery of the other", "issuer="+other.Issuer())
}

// A hook replaces the warnings.
func TestKeyOutagesWithHook(t *testing.T) {
	var log sink
	tenant, now := newTenant(t)
	config := configFor(tenant, now)
	calls := make(chan struct{}, 10)
	config.Logger, config.OnKeyRefresh = log.logger(), func(auth0grpc.KeyRefresh) { calls <- struct{}{} }
	tenant.SetDown(true)
	_ = mustNew(t, config).Ready(t.Context())
	<-calls // is called after Ready has returned
	if text := log.take(); text != "" || len(calls) > 0 {
		t.Errorf("%d more calls of the hook, log:\n%s", len(calls), text)
	}
}
