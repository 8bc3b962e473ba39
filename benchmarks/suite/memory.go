package suite

import (
	"crypto/rand"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/auth0grpc/auth0grpc"
)

// A MemoryResult is the heap size of a cache of verified tokens.
type MemoryResult struct {
	Entries  int   // CacheSize, and the number of tokens verified
	Full     int64 // bytes with that many
	Overfull int64 // bytes when half as many again have been verified
}

// PerToken returns the bytes of heap for each cached token.
func (r MemoryResult) PerToken() float64 { return float64(r.Full) / float64(r.Entries) }

// Memory fills the cache of auth0grpc with ES256 tokens, because as many RSA signatures
// would take minutes. The tokens are as long as the others. Their signatures are
// shorter, so the payload, which the cache keeps, is 190 bytes longer.
func (s *Suite) Memory(entries int) (MemoryResult, error) { return s.MemoryOf(entries, Small) }

// MemoryOf is [Suite.Memory] with tokens of another size. Tokens above 2 KiB count as
// several in the cache, so it has fewer of them.
func (s *Suite) MemoryOf(entries, size int) (MemoryResult, error) {
	p, err := s.newOurs(auth0grpc.Config{CacheSize: entries}, "ES256", s.newIssuerClient("ES256"))
	if err != nil {
		return MemoryResult{}, err
	}
	if err := s.verifyFresh(p, 1, size); err != nil { // fetches the keys
		return MemoryResult{}, err
	}
	result := MemoryResult{Entries: entries}
	before := liveHeap()
	if err := s.verifyFresh(p, entries, size); err != nil {
		return MemoryResult{}, err
	}
	result.Full = liveHeap() - before
	if err := s.verifyFresh(p, entries/2, size); err != nil {
		return MemoryResult{}, err
	}
	result.Overfull = liveHeap() - before
	runtime.KeepAlive(p)
	return result, nil
}

// verifyFresh lets p verify count different tokens, and keeps none of them.
func (s *Suite) verifyFresh(p *peer, count, size int) error {
	workers := runtime.GOMAXPROCS(0)
	failures := make([]error, workers)
	var done atomic.Int64
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for done.Add(1) <= int64(count) && failures[w] == nil {
				failures[w] = p.intercept(incoming(s.mint("ES256", size, rand.Text())))
			}
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

// liveHeap returns the bytes in use after they have stopped falling. Pools and ending
// goroutines release their memory over several collections.
func liveHeap() int64 {
	var stats runtime.MemStats
	for last := int64(math.MaxInt64); ; last = int64(stats.HeapAlloc) {
		runtime.GC()
		runtime.ReadMemStats(&stats)
		if int64(stats.HeapAlloc) > last-4096 {
			return int64(stats.HeapAlloc)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
