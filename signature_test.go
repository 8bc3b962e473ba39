package auth0grpc

import (
	"context"
	"errors"
	"testing"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// Public-key operations wait for a place (GO-2023-2153: what strangers ask for is
// not done all at once), and a panic in one gives the place back.
func TestSignerGivesItsPlaceBack(t *testing.T) {
	v := &verifier{cold: make(chan struct{}, 1)}
	for range 3 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic with a nil key")
				}
			}()
			_, _ = v.signer(t.Context(), nil, []*keyset.Key{nil})
		}()
	}
	if len(v.cold) != 0 {
		t.Error("a place is lost")
	}
	v.cold <- struct{}{}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, refused := v.signer(gone, nil, nil); refused == nil || !errors.Is(refused, context.Canceled) {
		t.Errorf("with all places taken, a caller that left gets %v", refused)
	}
}
