package auth0grpc

import (
	"testing"
	"time"
)

// Each bound has its default if it is not set, and its own value otherwise.
func TestRelationDefaults(t *testing.T) {
	defaults := RelationConfig{Timeout: time.Second, CacheLifetime: 5 * time.Second, CacheSize: 10_000, MaxChecks: 256}
	if got := (RelationConfig{}).withDefaults(); got != defaults {
		t.Errorf("%+v, want %+v", got, defaults)
	}
	for _, own := range []RelationConfig{
		{Timeout: time.Minute, CacheLifetime: time.Minute, CacheSize: 1, MaxChecks: 1},
		{Timeout: time.Millisecond, CacheLifetime: NoCache, CacheSize: 20_000, MaxChecks: 1000},
	} {
		if got := own.withDefaults(); got != own {
			t.Errorf("%+v, want %+v", got, own)
		}
	}
}
