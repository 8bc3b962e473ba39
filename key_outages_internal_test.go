package auth0grpc

import (
	"errors"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// An attempt that is reported late neither begins nor ends an outage.
func TestKeyOutagesInAnyOrder(t *testing.T) {
	var k keyOutages
	at := func(second int64, err error) bool {
		return k.record(&keyset.Refresh{Issuer: "https://x/", At: time.Unix(second, 0), Err: err})
	}
	failed := errors.New("failed")
	for i, step := range []struct {
		second int64
		err    error
		want   bool
	}{
		{10, nil, false}, {30, nil, false}, {20, failed, false}, {40, failed, true}, {35, nil, false}, {50, failed, false}, {60, nil, true}, {-3600, failed, true}, // the clock was set back
	} {
		if got := at(step.second, step.err); got != step.want {
			t.Errorf("step %d: %t, want %t", i, got, step.want)
		}
	}
}
