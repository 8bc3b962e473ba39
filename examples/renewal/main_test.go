package main

import (
	"strings"
	"testing"
)

// Every message arrives once and in order, over several streams; run fails by itself
// otherwise.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{"stream 1: resumes after message 0", "stream 2: resumes after message ", "900 messages, each once and in order"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}
