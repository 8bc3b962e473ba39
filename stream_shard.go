package auth0grpc

import (
	"container/heap"
	"hash/maphash"
	"math"
	"sync"

	"github.com/auth0grpc/auth0grpc/internal/revocation"
)

// A streamIndex is one way to find streams: by the value of a claim.
type streamIndex int

const (
	byTokenID streamIndex = iota
	bySubject
	byClient
	byOrganization
	byIssuer // every stream is in it
	indexCount
)

// streamIndexOf returns the most selective claim that c names, or byIssuer and ""
// if it names none.
func streamIndexOf(c revocation.Criteria) (streamIndex, string) {
	for shardIndex, value := range indexValues(c) {
		if value != "" {
			return streamIndex(shardIndex), value
		}
	}
	return byIssuer, ""
}

// indexValues returns the value of a claim for each index. A stream is in no list for
// an empty value.
func indexValues(c revocation.Criteria) [indexCount]string {
	return [...]string{c.TokenID, c.Subject, c.ClientID, c.OrganizationID, c.Issuer}
}

// streamSeed keeps clients from choosing claims that share a list.
var streamSeed = maphash.MakeSeed()

func (g *guardedStream) indexValues() [indexCount]string {
	return indexValues(g.claims.revocationToken().Criteria)
}

// A streamLink holds a stream's neighbours in the list of one value of an index.
type streamLink struct{ previous, next *guardedStream }

// A streamShard is a part of openStreams.
type streamShard struct {
	mu        sync.Mutex
	size      int
	deadlines deadlineHeap
	// heads has the first stream of each list, by the hash of the value. It stores no
	// value: that would keep the whole token alive. Values with the same hash share a
	// list, which costs a comparison and has no effect on the result.
	heads [indexCount]map[uint64]*guardedStream
}

func (h *streamShard) add(g *guardedStream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.size++
	g.listed = true
	g.heapIndex = -1
	if g.deadline != noDeadline {
		heap.Push(&h.deadlines, g)
	}
	for index, value := range g.indexValues() {
		if value == "" {
			continue
		}
		if h.heads[index] == nil {
			h.heads[index] = map[uint64]*guardedStream{}
		}
		hash := maphash.String(streamSeed, value)
		if first := h.heads[index][hash]; first != nil {
			first.links[index].previous = g
			g.links[index].next = first
		}
		h.heads[index][hash] = g
	}
}

// remove reports whether the stream still had a deadline to wait for.
func (h *streamShard) remove(g *guardedStream) (timed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !g.listed {
		return false
	}
	g.listed = false
	h.size--
	if timed = g.heapIndex >= 0; timed {
		heap.Remove(&h.deadlines, int(g.heapIndex))
	}
	for index, value := range g.indexValues() {
		if value != "" {
			h.unlink(g, streamIndex(index), value)
		}
	}
	return timed
}

func (h *streamShard) unlink(g *guardedStream, index streamIndex, value string) {
	link := g.links[index]
	g.links[index] = streamLink{}
	if link.next != nil {
		link.next.links[index].previous = link.previous
	}
	switch {
	case link.previous != nil:
		link.previous.links[index].next = link.next
	case link.next != nil:
		h.heads[index][maphash.String(streamSeed, value)] = link.next
	default:
		delete(h.heads[index], maphash.String(streamSeed, value))
	}
}

// takeExpired returns streams whose deadline has passed, at most expiryBatch, and
// the deadline of the next one. They stay open, without a deadline.
func (h *streamShard) takeExpired(now int64) (expired []*guardedStream, next int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.deadlines) > 0 && h.deadlines[0].deadline <= now && len(expired) < expiryBatch {
		expired = append(expired, heap.Pop(&h.deadlines).(*guardedStream))
	}
	if len(h.deadlines) == 0 {
		return expired, noDeadline
	}
	return expired, h.deadlines[0].deadline
}

// matching returns the streams whose token c covers. hash is of the value that c
// names for the index.
func (h *streamShard) matching(index streamIndex, hash uint64, c revocation.Criteria) (found []*guardedStream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c == (revocation.Criteria{}) {
		for _, first := range h.heads[byIssuer] {
			found = appendMatching(found, first, byIssuer, c)
		}
		return found
	}
	return appendMatching(found, h.heads[index][hash], index, c)
}

func appendMatching(found []*guardedStream, first *guardedStream, index streamIndex, c revocation.Criteria) []*guardedStream {
	for g := first; g != nil; g = g.links[index].next {
		if c.Matches(g.claims.revocationToken()) {
			found = append(found, g)
		}
	}
	return found
}

// A deadlineHeap is a heap.Interface of streams, the next to end first.
type deadlineHeap []*guardedStream

func (h deadlineHeap) Len() int { return len(h) }

func (h deadlineHeap) Less(a, b int) bool { return h[a].deadline < h[b].deadline }

func (h deadlineHeap) Swap(a, b int) {
	h[a], h[b] = h[b], h[a]
	h[a].heapIndex, h[b].heapIndex = int32(a), int32(b)
}

func (h *deadlineHeap) Push(g any) {
	added := g.(*guardedStream)
	added.heapIndex = int32(len(*h))
	*h = append(*h, added)
}

func (h *deadlineHeap) Pop() any {
	last := len(*h) - 1
	removed := (*h)[last]
	removed.heapIndex = -1
	(*h)[last] = nil // for the garbage collector
	*h = (*h)[:last]
	return removed
}

const (
	streamShards = 32
	expiryBatch  = 1000
)

// noDeadline is the deadline of a stream that ignores the expiry of its token.
const noDeadline = math.MaxInt64
