package env_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/examples/internal/env"
)

func TestRequire(t *testing.T) {
	getenv := func(name string) string { return map[string]string{"A": "1", "B": "2"}[name] }
	got, err := env.Require(getenv, "A", "B")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"A": "1", "B": "2"}, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if _, err := env.Require(getenv, "C", "A", "D"); err == nil || !strings.Contains(err.Error(), "C, D") {
		t.Errorf("Require with C and D unset: %v, want an error that names both", err)
	}
}
