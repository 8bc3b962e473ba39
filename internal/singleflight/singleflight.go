// Package singleflight lets any number of callers wait for one run of a function.
package singleflight

import (
	"context"
	"time"
)

// A Flight is one run of a function. [New] returns one that is in progress. It is safe
// for concurrent use.
type Flight struct {
	landed chan struct{}
}

// New returns a Flight in progress.
func New() Flight { return Flight{make(chan struct{})} }

// Land ends the flight and releases its waiters. A waiter may read all values that were
// stored before. A second call panics.
func (f Flight) Land() { close(f.landed) }

// Wait blocks until the flight has landed, giveUp fires or ctx ends. Only the last is an
// error, the one of ctx. The end of the flight beats the other two. giveUp may be nil.
func (f Flight) Wait(ctx context.Context, giveUp <-chan time.Time) (landed bool, err error) {
	select {
	case <-f.landed:
		return true, nil
	default:
	}
	select {
	case <-f.landed:
		return true, nil
	case <-giveUp:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// Run calls do and then land, with the report whether do returned. It calls land also if
// do panics or ends its goroutine: otherwise every later caller would wait. The panic goes
// no further.
func Run(do func(), land func(returned bool)) {
	returned := false
	defer func() {
		_ = recover()
		land(returned)
	}()
	do()
	returned = true
}
