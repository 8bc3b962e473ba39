package auth0grpc_test

import (
	"bytes"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// eventually waits until something is so. It gives a busy machine a while.
func eventually(tb testing.TB, what string, so func() bool) {
	tb.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for start := time.Now(); !so(); <-again.C {
		if time.Since(start) > 2*time.Minute {
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

// goroutines returns how many there are that are inside of our package.
func goroutines(tb testing.TB) int {
	tb.Helper()
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 2); err != nil {
		tb.Fatal(err)
	}
	count := 0
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, "auth0grpc.(*Interceptor).") || strings.Contains(stack, "auth0grpc.(*guardedStream).") {
			count++
		}
	}
	return count
}
