package main

import (
	"strings"
	"testing"
)

// Every message arrives once and in order, one stream is ended by the server and
// the others renewed in time; run fails by itself otherwise.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{"stream 1: messages 1 to ", "renewed at half of its time", "ended by the server: TOKEN_EXPIRED", "900 messages, each once and in order"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
