package auth0grpc_test

import (
	"sync"
	"testing"
	"time"
)

// Timers are the timers of the streams, on a clock that a test moves.
type timers struct {
	*clock
	mu  sync.Mutex
	all []*timer
}

type timer struct {
	of      *timers
	asked   time.Duration
	due     time.Time
	fire    func()
	stopped bool
	fired   bool
}

func (t *timer) Stop() bool {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.stopped = true
	return !t.fired
}

func (ts *timers) start(d time.Duration, f func()) interface{ Stop() bool } {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := &timer{of: ts, asked: d, due: ts.Now().Add(d), fire: f}
	ts.all = append(ts.all, t)
	return t
}

// Advance moves the clock and fires the timers that are due.
func (ts *timers) Advance(d time.Duration) {
	ts.clock.Advance(d)
	ts.fireIf(func(t *timer) bool { return !ts.Now().Before(t.due) })
}

// fireAll fires every timer at any time.
func (ts *timers) fireAll() { ts.fireIf(func(*timer) bool { return true }) }

// expireNow moves the clock and returns when the timers that are due have run.
func (ts *timers) expireNow(d time.Duration) {
	ts.clock.Advance(d)
	ts.mu.Lock()
	var due []*timer
	for _, t := range ts.all {
		if !t.fired && !t.stopped && !ts.Now().Before(t.due) {
			t.fired = true
			due = append(due, t)
		}
	}
	ts.mu.Unlock()
	for _, t := range due {
		t.fire()
	}
}

func (ts *timers) fireIf(due func(*timer) bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.all {
		if !t.fired && !t.stopped && due(t) {
			t.fired = true
			go t.fire()
		}
	}
}

// expire waits for a stream to set its timer, and then moves the clock.
func (ts *timers) expire(tb testing.TB, d time.Duration) {
	tb.Helper()
	eventually(tb, "a timer runs", func() bool { _, running := ts.asked(); return running == 1 })
	ts.Advance(d)
}

// asked returns the duration of every timer so far, and running how many have
// neither fired nor been stopped.
func (ts *timers) asked() (all []time.Duration, running int) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, t := range ts.all {
		all = append(all, t.asked)
		if !t.fired && !t.stopped {
			running++
		}
	}
	return all, running
}
