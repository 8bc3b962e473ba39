package singleflight_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc/internal/singleflight"
)

// The end of a flight beats the end of a context, and the time limit of a caller.
func TestWait(t *testing.T) {
	ended, open := singleflight.New(), singleflight.New()
	ended.Land()
	past := make(chan time.Time)
	close(past)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		flight singleflight.Flight
		giveUp chan time.Time
		ctx    context.Context
		ended  bool
		err    error
	}{
		"ended":                        {ended, nil, t.Context(), true, nil},
		"ended, and the context too":   {ended, nil, ctx, true, nil},
		"ended, and the time is up":    {ended, past, t.Context(), true, nil},
		"in progress, the time is up":  {open, past, t.Context(), false, nil},
		"in progress, context is over": {open, nil, ctx, false, context.Canceled},
	} {
		for range 100 { // a select with several ready cases takes any of them
			got, err := test.flight.Wait(test.ctx, test.giveUp)
			if got != test.ended || !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Fatalf("%s: %v, %v, want %v, %v", name, got, err, test.ended, test.err)
			}
		}
	}
}

func TestRunLands(t *testing.T) {
	for name, test := range map[string]struct {
		do       func()
		returned bool
	}{
		"returns":              {func() {}, true},
		"panics":               {func() { panic("secret") }, false},
		"leaves its goroutine": {runtime.Goexit, false},
	} {
		landed := make(chan bool, 1)
		go singleflight.Run(test.do, func(returned bool) { landed <- returned })
		if returned := <-landed; returned != test.returned {
			t.Errorf("%s: returned %t, want %t", name, returned, test.returned)
		}
	}
}
