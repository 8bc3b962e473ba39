package auth0grpc

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Blocked tasks take all places at first, and one goroutine more for each after their
// patience. Afterwards no goroutine and no place is left.
func TestWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w workers
		var started atomic.Int64
		release := make(chan struct{})
		counts := func() (places, tasks int) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.running, len(w.tasks)
		}
		for range 3 * maxWorkers {
			w.do(func() { started.Add(1); <-release })
		}
		for round := range int64(3) {
			synctest.Wait()
			places, _ := counts()
			if got, want := started.Load(), (round+1)*maxWorkers; got != want || places != maxWorkers {
				t.Errorf("round %d: %d tasks run, want %d; %d places taken", round, got, want, places)
			}
			<-time.After(taskPatience) // on the clock of the bubble
		}
		synctest.Wait()
		if places, tasks := counts(); places != 0 || tasks != 0 {
			t.Errorf("%d places taken, %d tasks, want none", places, tasks)
		}
		close(release)
		synctest.Wait()
		if places, _ := counts(); places != 0 {
			t.Errorf("%d places taken at the end, want 0", places)
		}
	})
}
