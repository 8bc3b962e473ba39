package main

import (
	"strings"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out, 2, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 16 || strings.Contains(out.String(), "NaN") {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
