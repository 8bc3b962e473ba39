package suite

import (
	"context"
	"crypto/rand"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// FirstUsePeers are the peers that BenchmarkFirstUse and the report compare.
var FirstUsePeers = []string{Warm, Cold, GoOIDC, GoJWT, GolangJWT}

// firstUseCallers is the number of goroutines that call at once.
const firstUseCallers = 64

// FirstUseCalls are calls whose tokens are each different.
type FirstUseCalls struct {
	suite *Suite
	calls []context.Context
}

// NewFirstUseCalls mints count tokens of about size bytes.
func (s *Suite) NewFirstUseCalls(count, size int) *FirstUseCalls {
	tokens := make([]string, count)
	for i := range tokens {
		tokens[i] = s.mint("RS256", size, rand.Text())
	}
	return &FirstUseCalls{s, contexts(tokens, incoming)}
}

// Measure makes each call once at a new peer that has the keys. It returns the time
// and the processor time.
func (f *FirstUseCalls) Measure(name string) (elapsed, cpu time.Duration, err error) {
	p, err := f.suite.newPeer(name, "RS256")
	if err != nil {
		return 0, 0, err
	}
	if err := p.intercept(incoming(f.suite.Token("RS256", Small))); err != nil { // brings the keys
		return 0, 0, err
	}
	runtime.GC() // the garbage of the previous peer
	before, used := time.Now(), cpuTime()
	err = callEach(p, f.calls)
	return time.Since(before), cpuTime() - used, err
}

// callEach makes each call once, from several goroutines.
func callEach(p *peer, calls []context.Context) error {
	var next atomic.Int64
	failures := make([]error, firstUseCallers)
	var group sync.WaitGroup
	for caller := range firstUseCallers {
		group.Go(func() {
			for i := next.Add(1); i <= int64(len(calls)); i = next.Add(1) {
				if err := p.intercept(calls[i-1]); err != nil {
					failures[caller] = err
				}
			}
		})
	}
	group.Wait()
	return errors.Join(failures...)
}
