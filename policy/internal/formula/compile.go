package formula

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
)

// A problem is the pair of formulas in the form for the search. Its atoms stand for
// values, or for groups of values that every leaf treats alike.
type problem struct {
	nodes        []node // children come before their parents
	holds, fails int    // the roots
	atoms        []atom
	exclusive    map[int][]int // attribute to atoms, of which one at most is true

	value    []truth // by node, of the last evaluation
	want     []truth // by node
	minimum  []int   // by node: a lower bound of the cost that makes it true
	state    []truth // by atom
	trail    []int   // the atoms that are set, in order
	cost     int     // of the atoms that are true
	best     []truth // by atom, of the best set so far
	bestCost int
	budget   int
}

// An atom stands for one value or all values of a group.
type atom struct {
	attribute int
	names     []string // all of them, if the atom is true
	cost      int      // the number of names that count
}

// A node is an atom, or combines nodes.
type node struct {
	all      bool
	children []int
	atom     int // -1 for a node that combines
}

// compile returns the problem. Lists of thousands of names become few atoms: values
// that occur in the same leaves are interchangeable.
func (s *Solver) compile(holds, fails Formula) *problem {
	p := &problem{exclusive: map[int][]int{}}
	leaves := collect(&fails, collect(&holds, nil))
	atomsOf := p.group(leaves, s.Single)
	for i := range p.atoms {
		a := &p.atoms[i]
		for _, name := range a.names {
			if s.Free == nil || !s.Free(Value{a.attribute, name}) {
				a.cost++
			}
		}
	}
	next := 0
	p.holds = p.build(&holds, atomsOf, &next)
	p.fails = p.build(&fails, atomsOf, &next)
	p.value = make([]truth, len(p.nodes))
	p.want = make([]truth, len(p.nodes))
	p.minimum = make([]int, len(p.nodes))
	p.state = make([]truth, len(p.atoms))
	return p
}

// collect appends the leaves of the formula in order.
func collect(f *Formula, leaves []*Formula) []*Formula {
	if len(f.Names) > 0 {
		return append(leaves, f)
	}
	for i := range f.Parts {
		leaves = collect(&f.Parts[i], leaves)
	}
	return leaves
}

// An occurrence lists the leaves that a value is in.
type occurrence struct {
	value  Value
	leaves []byte // their numbers
	inAll  bool   // in a leaf that needs all its names
	inAny  bool   // in a leaf that needs one of its names
}

// group makes the atoms, and returns them for each leaf. Values that are in the same
// leaves form a group. If each of these leaves needs one of its names, the first value
// of the group suffices. If each needs all, the group is one atom with all values.
func (p *problem) group(leaves []*Formula, single func(int) bool) [][]int {
	occurrences := map[Value]*occurrence{}
	for i, leaf := range leaves {
		for _, name := range leaf.Names {
			value := Value{leaf.Attribute, name}
			o := occurrences[value]
			if o == nil {
				o = &occurrence{value: value}
				occurrences[value] = o
			}
			o.leaves = binary.AppendUvarint(o.leaves, uint64(i))
			if leaf.All {
				o.inAll = true
			} else {
				o.inAny = true
			}
		}
	}
	atomOf := map[Value]int{}
	type key struct {
		attribute int
		leaves    string
	}
	groups := map[key]int{}
	order := slices.SortedFunc(maps.Keys(occurrences), func(a, b Value) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Name, b.Name))
	})
	for _, value := range order {
		o := occurrences[value]
		k := key{value.Attribute, string(o.leaves)}
		i, ok := groups[k]
		switch {
		case ok && o.inAny && !o.inAll:
		case ok && o.inAll && !o.inAny && !single(value.Attribute):
			p.atoms[i].names = append(p.atoms[i].names, value.Name)
		default:
			i = len(p.atoms)
			groups[k] = i
			p.atoms = append(p.atoms, atom{attribute: value.Attribute, names: []string{value.Name}})
			if single(value.Attribute) {
				p.exclusive[value.Attribute] = append(p.exclusive[value.Attribute], i)
			}
		}
		atomOf[value] = i
	}
	atomsOf := make([][]int, len(leaves))
	for i, leaf := range leaves {
		for _, name := range leaf.Names {
			atomsOf[i] = append(atomsOf[i], atomOf[Value{leaf.Attribute, name}])
		}
		slices.Sort(atomsOf[i])
		atomsOf[i] = slices.Compact(atomsOf[i])
	}
	return atomsOf
}

// build adds the nodes of a formula and returns the last one, its root. next counts
// the leaves.
func (p *problem) build(f *Formula, atomsOf [][]int, next *int) int {
	n := node{all: f.All, atom: -1}
	if len(f.Names) > 0 {
		for _, atom := range atomsOf[*next] {
			n.children = append(n.children, p.add(node{atom: atom}))
		}
		*next++
		return p.add(n)
	}
	for i := range f.Parts {
		n.children = append(n.children, p.build(&f.Parts[i], atomsOf, next))
	}
	return p.add(n)
}

func (p *problem) add(n node) int {
	p.nodes = append(p.nodes, n)
	return len(p.nodes) - 1
}

// values returns the best set, sorted.
func (p *problem) values() []Value {
	values := []Value{}
	for i, state := range p.best {
		if state != isTrue {
			continue
		}
		for _, name := range p.atoms[i].names {
			values = append(values, Value{p.atoms[i].attribute, name})
		}
	}
	slices.SortFunc(values, func(a, b Value) int {
		return cmp.Or(cmp.Compare(a.Attribute, b.Attribute), cmp.Compare(a.Name, b.Name))
	})
	return values
}
