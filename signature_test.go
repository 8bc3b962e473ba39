package auth0grpc

import (
	"testing"

	"github.com/auth0grpc/auth0grpc/internal/keyset"
)

// A panic in a public-key operation gives its place back (GO-2023-2153: the
// operations that strangers ask for are bounded).
func TestSignerGivesItsPlaceBack(t *testing.T) {
	v := &verifier{signatures: &signatureGate{open: 1, tight: 1}}
	for range 3 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic with a nil key")
				}
			}()
			_, _ = v.findSigningKey(t.Context(), nil, []*keyset.Key{nil})
		}()
	}
	if v.signatures.inProgress != 0 {
		t.Error("a place is lost")
	}
}
