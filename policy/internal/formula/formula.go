// Package formula decides whether some set of values satisfies one rule and not another.
// Rules are formulas of AND and OR over values, without NOT.
//
// The question is NP-complete, so the work has a bound. Rules of some dozens of values
// stay far below it.
package formula

import "slices"

// A Value is one value that a set contains, such as a scope of a token.
type Value struct {
	Attribute int // the caller's number for the kind of value
	Name      string
}

// A Formula is a leaf if it has names, and else combines its parts. Without names and
// parts, a formula with All is true of each set, and one without All is true of none.
type Formula struct {
	All       bool // every part or name, in place of one of them
	Parts     []Formula
	Attribute int
	Names     []string
}

// True is true of each set, and False is true of none.
var (
	True  = Formula{All: true}
	False = Formula{}
)

// All returns the formula that is true if every part is.
func All(parts ...Formula) Formula { return Formula{All: true, Parts: parts} }

// Any returns the formula that is true if a part is.
func Any(parts ...Formula) Formula { return Formula{Parts: parts} }

// Holds reports whether the formula is true of a set of values.
func (f *Formula) Holds(values []Value) bool {
	for i := range f.Parts {
		if f.Parts[i].Holds(values) != f.All {
			return !f.All
		}
	}
	for _, name := range f.Names {
		if slices.Contains(values, Value{f.Attribute, name}) != f.All {
			return !f.All
		}
	}
	return f.All
}

// An Answer is the result of [Solver.Smallest].
type Answer int

const (
	None      Answer = iota + 1 // there is no such set
	Found                       // the set is the smallest
	FoundAny                    // the set may not be the smallest: the bound was reached
	Undecided                   // the bound was reached without a set
)

// A Solver answers questions about formulas.
type Solver struct {
	// Single reports whether a set has at most one value of an attribute.
	Single func(attribute int) bool
	// Free reports whether a value does not count for the size of a set. Nil: each counts.
	Free func(Value) bool
	// Budget bounds the work of all questions together, in visits of a part of a formula.
	// Each question reduces it.
	Budget int
}

// Smallest returns a set with the fewest values of which the formula holds is true and
// the formula fails is false. The order of the names does not affect its size. Of
// several such sets the result is always the same.
func (s *Solver) Smallest(holds, fails Formula) ([]Value, Answer) {
	p := s.compile(holds, fails)
	p.budget = s.Budget
	p.search()
	s.Budget = max(0, p.budget)
	switch {
	case p.best == nil && p.budget < 0:
		return nil, Undecided
	case p.best == nil:
		return nil, None
	case p.budget < 0:
		return p.values(), FoundAny
	}
	return p.values(), Found
}
