package main

import (
	"strings"
	"testing"
)

// The stream of the blocked user ends, and the other one continues.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		": Unauthenticated, TOKEN_REVOKED\n", "alice's next call: Unauthenticated TOKEN_REVOKED\n", "bob's stream goes on: order 2\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
