package strictjson

import (
	"hash/maphash"
	"sync"
)

// fewNames is the number of names up to which a new one is compared with each
// name before it. The names of larger objects go into a hash table.
const fewNames = 16

// nameStack holds the member names of the innermost open object and of those
// around it. It finds a duplicate when it is added, at a cost that does not depend
// on the number of names. The zero value is ready to use.
type nameStack struct {
	count      int
	first      [fewNames]string // most documents need no more, and no allocation
	*nameTable                  // nil until there are more
}

// A nameTable holds the names after the first few, and finds each name by its hash.
type nameTable struct {
	rest []string
	// table uses open addressing. A slot holds 1 + the number of a name, or 0. Slots
	// of names that were removed stay, so a hit is compared with the name.
	table []uint32
	used  int
	seed  maphash.Seed
}

// maxKeptNames bounds the names of a nameTable that is kept for another document. A
// token of 16 KiB has fewer.
const maxKeptNames = 4096

// nameTables has nameTables to use again: an attacker sends many documents with
// many names, and a new table for each would cost several times its document.
var nameTables = sync.Pool{New: func() any { return &nameTable{seed: maphash.MakeSeed()} }}

// release gives the table back. It keeps nothing of the document.
func (n *nameStack) release() {
	t := n.nameTable
	n.nameTable = nil
	if t == nil || cap(t.rest) > maxKeptNames || cap(t.table) > 4*maxKeptNames {
		return
	}
	clear(t.rest[:cap(t.rest)])
	t.rest, t.table, t.used = t.rest[:0], t.table[:0], 0
	nameTables.Put(t)
}

func (n *nameStack) name(i int) string {
	if i < fewNames {
		return n.first[i]
	}
	return n.rest[i-fewNames]
}

func (n *nameStack) push(name string) {
	if n.count < fewNames {
		n.first[n.count] = name
	} else {
		if n.nameTable == nil {
			n.nameTable = nameTables.Get().(*nameTable)
		}
		n.rest = append(n.rest[:n.count-fewNames], name)
	}
	n.count++
}

// add adds a name to the innermost object, which began when count was start. It
// reports whether the name is new there. expected is an estimate of the names of
// the whole document; it saves growing step by step.
func (n *nameStack) add(start int, name string, expected int) bool {
	if n.count-start < fewNames {
		for i := start; i < n.count; i++ {
			if n.name(i) == name {
				return false
			}
		}
		n.push(name)
		return true
	}
	if n.nameTable == nil {
		n.nameTable = nameTables.Get().(*nameTable)
	}
	if n.count == fewNames && cap(n.rest) < expected-fewNames {
		n.rest = make([]string, 0, expected-fewNames)
	}
	if 2*(n.used+fewNames+1) > len(n.table) {
		n.rebuild(max(expected, 2*n.count))
	} else if n.count-start == fewNames {
		for i := start; i < n.count; i++ {
			slot, _ := n.find(start, n.name(i))
			n.put(slot, i)
		}
	}
	slot, found := n.find(start, name)
	if found {
		return false
	}
	n.put(slot, n.count)
	n.push(name)
	return true
}

// find returns the slot of a name of the object that began at start. Without
// such a name it returns the free slot where the name belongs.
func (n *nameStack) find(start int, name string) (slot int, found bool) {
	mask := len(n.table) - 1
	for slot = int(maphash.String(n.seed, name) & uint64(mask)); n.table[slot] != 0; slot = (slot + 1) & mask {
		i := int(n.table[slot]) - 1
		if i >= start && i < n.count && n.name(i) == name {
			return slot, true
		}
	}
	return slot, false
}

func (n *nameStack) put(slot, index int) {
	if n.table[slot] == 0 {
		n.used++
	}
	n.table[slot] = uint32(index + 1)
}

// rebuild makes a table for a number of names and puts the names that count into
// it, so that slots of removed names do not fill it up.
func (n *nameStack) rebuild(names int) {
	size := 8 * fewNames
	for size < 2*names {
		size *= 2
	}
	if size > cap(n.table) {
		n.table = make([]uint32, size)
	} else {
		n.table = n.table[:size]
		clear(n.table)
	}
	n.used = 0
	for i := range n.count {
		slot, _ := n.find(i, n.name(i))
		n.put(slot, i)
	}
}
