package auth0grpc

import (
	"sync"
	"time"
)

// workers runs tasks on a bounded number of goroutines, oldest task first. A task that
// blocks, on a client that reads nothing, gives up its place to another goroutine after
// taskPatience. So there are at most maxWorkers goroutines and one for each blocked
// task. The zero workers is ready for use, and has none.
type workers struct {
	mu      sync.Mutex
	tasks   []func()
	running int // goroutines that have a place
}

const (
	maxWorkers   = 16
	taskPatience = 5 * time.Millisecond
)

// do runs a task some time later. It does not wait.
func (w *workers) do(task func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tasks = append(w.tasks, task)
	if w.running < maxWorkers {
		w.running++
		go w.run()
	}
}

// run runs tasks until there are none, or until it has lost its place.
func (w *workers) run() {
	for {
		task := w.next()
		if task == nil {
			return
		}
		replacement := time.AfterFunc(taskPatience, w.run)
		task()
		if !replacement.Stop() {
			return
		}
	}
}

// next returns the next task, or nil; then the caller has lost its place.
func (w *workers) next() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tasks) == 0 {
		w.tasks = nil
		w.running--
		return nil
	}
	task := w.tasks[0]
	w.tasks[0] = nil // for the garbage collector
	w.tasks = w.tasks[1:]
	return task
}
