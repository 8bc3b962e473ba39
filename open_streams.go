package auth0grpc

import (
	"container/heap"
	"math"
	"sync"
	"time"
)

// streams are the open streams that were opened with a token, as a heap by their
// deadline. All of them share one timer, which runs while there is a deadline to
// wait for.
type streams struct {
	policy StreamPolicy
	timer  func(time.Duration, func()) stopper

	mu    sync.Mutex
	open  []*guardedStream
	alarm stopper // nil: none was set since the last one rang or was stopped
}

// A stopper is a *time.Timer, or what a test puts in its place.
type stopper interface{ Stop() bool }

func realTimer(d time.Duration, f func()) stopper { return time.AfterFunc(d, f) }

// never is the deadline of a stream that runs on.
const never = math.MaxInt64

// deadlineOf returns t in the unit of deadlines, and not a moment earlier. Whole
// microseconds reach further than any date, unlike nanoseconds.
func deadlineOf(t time.Time) int64 { return t.Add(time.Microsecond - 1).UnixMicro() }

// addStream puts a stream among the open ones, and sets the timer if it is the
// next to end.
func (i *Interceptor) addStream(g *guardedStream, now time.Time) {
	i.streams.mu.Lock()
	defer i.streams.mu.Unlock()
	heap.Push(&i.streams, g)
	if g.index == 0 && g.deadline != never {
		i.setAlarm(now)
	}
}

// setAlarm sets the timer for the next stream to end. The caller holds the lock.
func (i *Interceptor) setAlarm(now time.Time) {
	s := &i.streams
	s.stopAlarm()
	if len(s.open) > 0 && s.open[0].deadline != never {
		s.alarm = s.timer(time.UnixMicro(s.open[0].deadline).Sub(now), i.endExpired)
	}
}

func (s *streams) stopAlarm() {
	if s.alarm != nil {
		s.alarm.Stop()
		s.alarm = nil
	}
}

// endExpired ends the streams whose deadline has passed, and sets the timer for
// the next: also where none has passed, because the clock was set back.
func (i *Interceptor) endExpired() {
	s := &i.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	now := i.verifier.now()
	for len(s.open) > 0 && s.open[0].deadline <= now.UnixMicro() {
		g := s.open[0]
		g.deadline = never // which it gets to see if nothing is enforced
		heap.Fix(s, 0)
		go i.endStream(g, refusedExpired)
	}
	i.setAlarm(now)
}

// remove takes a stream out, and may be called again.
func (s *streams) remove(g *guardedStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.index >= 0 {
		heap.Remove(s, g.index)
	}
	if len(s.open) == 0 || s.open[0].deadline == never {
		s.stopAlarm()
	}
}

func (s *streams) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Len, Less, Swap, Push and Pop are those of heap.Interface.

func (s *streams) Len() int           { return len(s.open) }
func (s *streams) Less(a, b int) bool { return s.open[a].deadline < s.open[b].deadline }

func (s *streams) Swap(a, b int) {
	s.open[a], s.open[b] = s.open[b], s.open[a]
	s.open[a].index, s.open[b].index = a, b
}

func (s *streams) Push(g any) {
	added := g.(*guardedStream)
	added.index = len(s.open)
	s.open = append(s.open, added)
}

func (s *streams) Pop() any {
	last := len(s.open) - 1
	removed := s.open[last]
	removed.index = -1
	s.open[last] = nil // for the garbage collector
	s.open = s.open[:last]
	return removed
}
