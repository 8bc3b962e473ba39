package revocation

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// BenchmarkAdd reports the slowest Add while a List grows to n entries, and
// while as many that have expired are forgotten. It counts the processor time of
// the thread, so other processes do not matter.
func BenchmarkAdd(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for b.Loop() {
				l := NewList(lifetime)
				growth := slowestAdd(l, n, noon)
				sweep := slowestAdd(l, 20_000, later.Add(lifetime))
				b.ReportMetric(float64(growth.Microseconds())/1000, "ms/slowest-growth")
				b.ReportMetric(float64(sweep.Microseconds())/1000, "ms/slowest-sweep")
				if l.Len() != 20_000 {
					b.Fatalf("%d entries, want 20,000", l.Len())
				}
			}
		})
	}
}

// slowestAdd adds n entries at now and returns the time of the slowest Add.
func slowestAdd(l *List, n int, now time.Time) (slowest time.Duration) {
	for i := range n {
		c := Criteria{Issuer: "https://tenant.eu.auth0.com/", Subject: fmt.Sprintf("auth0|%016x%d", i, now.Unix())}
		start := threadTime()
		l.Add(c, now.Add(time.Minute), now)
		slowest = max(slowest, threadTime()-start)
	}
	return slowest
}

// threadTime returns the processor time that the thread has used.
func threadTime() time.Duration {
	const threadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&t)), 0)
	return time.Duration(t.Nano())
}
