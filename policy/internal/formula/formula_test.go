package formula_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/policy/internal/formula"
)

// Attributes 2 and 3 have one value at most.
func isSingle(attribute int) bool { return attribute >= 2 }

func leaf(all bool, attribute int, names ...string) formula.Formula {
	return formula.Formula{All: all, Attribute: attribute, Names: names}
}

func newSolver() *formula.Solver { return &formula.Solver{Single: isSingle, Budget: 1 << 30} }

func TestSmallest(t *testing.T) {
	a, b, c := leaf(true, 0, "a"), leaf(true, 0, "b"), leaf(true, 0, "c")
	for _, test := range []struct {
		name         string
		holds, fails formula.Formula
		answer       formula.Answer
		want         []formula.Value
	}{
		{"true, false", formula.True, formula.False, formula.Found, []formula.Value{}},
		{"false", formula.False, formula.False, formula.None, nil},
		{"true, true", formula.True, formula.True, formula.None, nil},
		{"same", formula.All(a, b), formula.All(b, a), formula.None, nil},
		{"one of two", formula.Any(a, b), formula.All(a, b), formula.Found, []formula.Value{{Name: "a"}}},
		{"both", formula.All(a, b), formula.Any(c, formula.All(a, b, c)), formula.Found, []formula.Value{{Name: "a"}, {Name: "b"}}},
		{"distributed", formula.Any(formula.All(a, b), formula.All(a, c)), formula.All(a, formula.Any(b, c)), formula.None, nil},
		{"cheapest way", formula.Any(formula.All(a, b), c), formula.False, formula.Found, []formula.Value{{Name: "c"}}},
		{"two single values", formula.All(leaf(false, 2, "x", "y"), leaf(false, 2, "y", "z")), leaf(false, 2, "y"), formula.None, nil},
		{"other single value", formula.All(leaf(false, 2, "x", "y"), leaf(false, 3, "y")), leaf(false, 2, "x"), formula.Found, []formula.Value{{2, "y"}, {3, "y"}}},
		{"all of single values", leaf(true, 2, "x", "y"), formula.False, formula.None, nil},
		{"same name, other attribute", leaf(true, 1, "a"), a, formula.Found, []formula.Value{{1, "a"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, answer := newSolver().Smallest(test.holds, test.fails)
			if diff := cmp.Diff(test.want, got); diff != "" || answer != test.answer {
				t.Errorf("answer %d, want %d; set (-want +got):\n%s", answer, test.answer, diff)
			}
		})
	}
}

// The answer equals a search through all sets.
func TestSmallestEqualsBruteForce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	tally := map[formula.Answer]int{}
	for range 2_000 {
		holds, fails := randomFormula(random, 0), randomFormula(random, 0)
		got, answer := newSolver().Smallest(holds, fails)
		tally[answer]++
		want := -1
		for set := range sets() {
			if satisfies(set, &holds) && !satisfies(set, &fails) && (want < 0 || len(set) < want) {
				want = len(set)
			}
		}
		switch {
		case answer == formula.None && want < 0:
		case answer == formula.Found && want == len(got) && satisfies(got, &holds) && !satisfies(got, &fails):
		default:
			t.Fatalf("%+v and not %+v: answer %d with %v, want a set of %d values", holds, fails, answer, got, want)
		}
	}
	t.Logf("%v", tally)
	if tally[formula.None] < 200 || tally[formula.Found] < 200 {
		t.Errorf("answers %v: the formulas do not tell much", tally)
	}
}

var attributeNames = [][]string{{"a", "b", "c", "d"}, {"a", "e"}, {"x", "y"}, {"x", "z"}}

func randomFormula(random *rand.Rand, depth int) formula.Formula {
	if depth > 3 || random.IntN(3) > 0 && depth > 0 {
		attribute := random.IntN(4)
		names := slices.Clone(attributeNames[attribute])
		random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		return leaf(random.IntN(2) == 0, attribute, names[:1+random.IntN(len(names))]...)
	}
	f := formula.Formula{All: random.IntN(2) == 0}
	for range random.IntN(4) {
		f.Parts = append(f.Parts, randomFormula(random, depth+1))
	}
	return f
}

// sets yields each set of the values in attributeNames.
func sets() func(yield func([]formula.Value) bool) {
	return func(yield func([]formula.Value) bool) {
		for bits := range 1 << 6 {
			var lists []formula.Value
			for i := range 6 {
				if bits>>i&1 == 1 {
					attribute, place := i/4, i%4
					lists = append(lists, formula.Value{Attribute: attribute, Name: attributeNames[attribute][place]})
				}
			}
			for _, x := range []string{"", "x", "y"} {
				for _, z := range []string{"", "x", "z"} {
					set := slices.Clone(lists)
					if x != "" {
						set = append(set, formula.Value{Attribute: 2, Name: x})
					}
					if z != "" {
						set = append(set, formula.Value{Attribute: 3, Name: z})
					}
					if !yield(set) {
						return
					}
				}
			}
		}
	}
}

func satisfies(set []formula.Value, f *formula.Formula) bool {
	for _, name := range f.Names {
		if slices.Contains(set, formula.Value{Attribute: f.Attribute, Name: name}) != f.All {
			return !f.All
		}
	}
	for i := range f.Parts {
		if satisfies(set, &f.Parts[i]) != f.All {
			return !f.All
		}
	}
	return f.All
}

// Long lists of names become few atoms, so they cost little of the budget.
func TestLongLists(t *testing.T) {
	var names, others []string
	for i := range 20_000 {
		names = append(names, fmt.Sprint("n", i))
		others = append(others, fmt.Sprint("n", i+1))
	}
	for _, test := range []struct {
		name         string
		holds, fails formula.Formula
		size         int // -1: none
	}{
		{"all, one less", leaf(true, 0, names[1:]...), leaf(true, 0, names...), 19_999},
		{"all, one more", leaf(true, 0, names...), leaf(true, 0, names[1:]...), -1},
		{"any, one more", leaf(false, 0, names...), leaf(false, 0, names[1:]...), 1},
		{"any, one less", leaf(false, 0, names[1:]...), leaf(false, 0, names...), -1},
		{"any of shifted", leaf(false, 0, others...), leaf(false, 0, names...), 1},
		{"single", formula.All(leaf(false, 2, names...), leaf(false, 2, others...)), leaf(false, 2, names[1:]...), -1},
		{"any and all", formula.All(leaf(false, 0, names...), leaf(true, 1, names...)), formula.All(leaf(true, 0, names...), leaf(true, 1, names...)), 20_001},
	} {
		t.Run(test.name, func(t *testing.T) {
			solver := &formula.Solver{Single: isSingle, Budget: 10_000_000}
			got, answer := solver.Smallest(test.holds, test.fails)
			if want := test.size >= 0; answer == formula.None == want || want && (answer != formula.Found || len(got) != test.size) {
				t.Errorf("answer %d with %d values, want %d", answer, len(got), test.size)
			}
			t.Logf("used %d", 10_000_000-solver.Budget)
		})
	}
}

// hard returns two formulas whose comparison needs a search through very many sets: the
// first has no smaller form, and the second lacks one way of many to be true.
func hard(n int) (holds, fails formula.Formula) {
	for i := range n {
		var row, column []formula.Formula
		for j := range n {
			row = append(row, leaf(true, 0, fmt.Sprint(i, "-", j)))
			column = append(column, leaf(true, 0, fmt.Sprint(j, "-", i)))
		}
		holds.Parts = append(holds.Parts, formula.Any(row...))
		for j := range n {
			for k := range j {
				fails.Parts = append(fails.Parts, formula.All(column[j], column[k]))
			}
		}
	}
	holds.All = true
	holds.Parts = append(holds.Parts, formula.Any(leaf(true, 0, "x")))
	// n+1 pigeons in n holes.
	var more []formula.Formula
	for j := range n {
		more = append(more, leaf(true, 0, fmt.Sprint("more-", j)))
		for i := range n {
			fails.Parts = append(fails.Parts, formula.All(leaf(true, 0, fmt.Sprint("more-", j)), leaf(true, 0, fmt.Sprint(i, "-", j))))
		}
	}
	holds.Parts = append(holds.Parts, formula.Any(more...))
	return holds, fails
}

// A question beyond the budget ends, and has no wrong answer.
func TestBudget(t *testing.T) {
	holds, fails := hard(5)
	if _, answer := newSolver().Smallest(holds, fails); answer != formula.None {
		t.Errorf("six pigeons in five holes: answer %d, want None", answer)
	}
	holds, fails = hard(14)
	solver := &formula.Solver{Single: isSingle, Budget: 1_000_000}
	if _, answer := solver.Smallest(holds, fails); answer != formula.Undecided || solver.Budget != 0 {
		t.Errorf("fifteen pigeons in fourteen holes: answer %d, budget %d, want Undecided and 0", answer, solver.Budget)
	}
	if _, answer := solver.Smallest(formula.True, formula.False); answer != formula.Undecided {
		t.Errorf("without a budget: answer %d, want Undecided", answer)
	}
}
