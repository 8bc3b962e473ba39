package formula

import "slices"

// A truth is the value of a node or atom. The zero truth is not decided yet.
type truth int8

const (
	isTrue  truth = 1
	isFalse truth = -1
)

// search looks for sets that extend the current one and cost less than the best. It
// returns with the state that it began with. When the budget is used up, it ends.
func (p *problem) search() {
	begin := len(p.trail)
	defer p.undo(begin)
	if !p.propagate() || p.budget < 0 {
		return
	}
	if p.value[p.holds] == isTrue {
		// All other atoms stay false. The formula fails is not true already, and it has
		// no NOT, so it is false then.
		if p.best == nil || p.cost < p.bestCost {
			p.best, p.bestCost = slices.Clone(p.state), p.cost
		}
		return
	}
	if bound := p.lowerBound(); p.best != nil && p.cost+bound >= p.bestCost {
		return
	}
	atom := p.nextAtom()
	for _, state := range []truth{isTrue, isFalse} {
		mark := len(p.trail)
		if p.set(atom, state) {
			p.search()
		}
		p.undo(mark)
		if p.budget < 0 {
			return
		}
	}
}

// propagate sets every atom whose value follows, and reports whether there is no
// contradiction.
func (p *problem) propagate() bool {
	for {
		before := len(p.trail)
		if p.budget -= len(p.nodes); p.budget < 0 {
			return true
		}
		p.evaluate()
		clear(p.want)
		p.want[p.holds], p.want[p.fails] = isTrue, isFalse
		for i := len(p.nodes) - 1; i >= 0; i-- { // parents before children
			if p.want[i] != 0 && !p.demand(i) {
				return false
			}
		}
		if len(p.trail) == before {
			return true
		}
	}
}

// evaluate sets the value of each node.
func (p *problem) evaluate() {
	for i := range p.nodes {
		n := &p.nodes[i]
		if n.atom >= 0 {
			p.value[i] = p.state[n.atom]
			continue
		}
		p.value[i] = p.combine(n)
	}
}

func (p *problem) combine(n *node) truth {
	decisive := isTrue // one such child decides
	if n.all {
		decisive = isFalse
	}
	result := -decisive
	for _, child := range n.children {
		switch p.value[child] {
		case decisive:
			return decisive
		case 0:
			result = 0
		}
	}
	return result
}

// demand passes the wanted value of a node to its children, as far as it follows. It
// reports whether there is no contradiction.
func (p *problem) demand(i int) bool {
	n, want := &p.nodes[i], p.want[i]
	switch {
	case p.value[i] == want:
		return true
	case p.value[i] == -want:
		return false
	case n.atom >= 0:
		return p.set(n.atom, want)
	}
	if n.all == (want == isTrue) { // every child must have the value
		for _, child := range n.children {
			p.want[child] = want
		}
		return true
	}
	last := -1
	for _, child := range n.children {
		if p.value[child] != 0 {
			continue
		}
		if last >= 0 {
			return true // there is a choice
		}
		last = child
	}
	p.want[last] = want // a node that is not decided has such a child
	return true
}

// set sets an atom and the atoms that it excludes. It reports whether that is possible.
func (p *problem) set(atom int, state truth) bool {
	if p.state[atom] != 0 {
		return p.state[atom] == state
	}
	p.state[atom] = state
	p.trail = append(p.trail, atom)
	if state == isFalse {
		return true
	}
	p.cost += p.atoms[atom].cost
	for _, other := range p.exclusive[p.atoms[atom].attribute] {
		if other != atom && !p.set(other, isFalse) {
			return false
		}
	}
	return true
}

// undo takes back the atoms that were set last.
func (p *problem) undo(mark int) {
	for _, atom := range p.trail[mark:] {
		if p.state[atom] == isTrue {
			p.cost -= p.atoms[atom].cost
		}
		p.state[atom] = 0
	}
	p.trail = p.trail[:mark]
}

// unreachable is the cost of a node that is false.
const unreachable = 1 << 30

// lowerBound returns a cost that every extension of the current set needs at least.
func (p *problem) lowerBound() int {
	p.budget -= len(p.nodes)
	for i := 0; i <= p.holds; i++ {
		n := &p.nodes[i]
		switch {
		case p.value[i] == isTrue:
			p.minimum[i] = 0
		case p.value[i] == isFalse:
			p.minimum[i] = unreachable
		case n.atom >= 0:
			p.minimum[i] = p.atoms[n.atom].cost
		case n.all:
			p.minimum[i] = 0
			for _, child := range n.children {
				p.minimum[i] = max(p.minimum[i], p.minimum[child])
			}
		default:
			p.minimum[i] = unreachable
			for _, child := range n.children {
				p.minimum[i] = min(p.minimum[i], p.minimum[child])
			}
		}
	}
	return p.minimum[p.holds]
}

// nextAtom returns the atom to decide next: one that the formula holds may need, on
// the cheapest way.
func (p *problem) nextAtom() int {
	i := p.holds
	for p.nodes[i].atom < 0 {
		next := -1
		for _, child := range p.nodes[i].children {
			if p.value[child] != 0 {
				continue
			}
			if next < 0 || !p.nodes[i].all && p.minimum[child] < p.minimum[next] {
				next = child
			}
		}
		i = next
	}
	return p.nodes[i].atom
}
