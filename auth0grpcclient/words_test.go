package auth0grpcclient

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
)

// TestWords checks that the constants of this package equal the server's.
func TestWords(t *testing.T) {
	t.Parallel()
	client := []string{errorDomain, beforeHandlerKey, reasonTokenExpired, reasonTokenRevoked, reasonUseDPoPNonce, streamTTLHeader}
	server := []string{
		auth0grpc.ErrorDomain, auth0grpc.BeforeHandlerKey,
		string(auth0grpc.ReasonTokenExpired), string(auth0grpc.ReasonTokenRevoked), string(auth0grpc.ReasonUseDPoPNonce), auth0grpc.StreamTTLHeader,
	}
	if diff := cmp.Diff(server, client); diff != "" {
		t.Errorf("words (-server +client):\n%s", diff)
	}
}
