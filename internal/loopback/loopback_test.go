package loopback_test

import (
	"testing"

	"github.com/auth0grpc/auth0grpc/internal/loopback"
)

func TestIsHost(t *testing.T) {
	tests := map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.": false, "localhost.example": false, "a.localhost": false, "0.0.0.0": false, "::": false,
		"10.0.0.1": false, "127.1": false, "[::1]": false, "127.0.0.1:80": false, "2130706433": false,
	}
	for host, want := range tests {
		if got := loopback.IsHost(host); got != want {
			t.Errorf("IsHost(%q) = %t, want %t", host, got, want)
		}
	}
}
