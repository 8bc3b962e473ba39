package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/grammar"
	"github.com/auth0grpc/auth0grpc/policy/internal/formula"
)

// A Change is the effect of a new table on the callers of a method.
type Change int

const (
	// Equal means that both tables admit the same calls.
	Equal Change = iota + 1
	// Tighter means that the new table refuses some calls and admits no others.
	Tighter
	// Looser means that the new table admits more calls and refuses no others.
	Looser
	// Both means that the new table admits some calls and refuses others.
	Both
	// Undecided means that the rules are too large for the bound of [Compare]. Treat it
	// as [Looser].
	Undecided
)

var changeNames = [...]string{"unknown", "equal", "tighter", "looser", "both", "undecided"}

// String returns the name of the change in lower case, as in "looser".
func (c Change) String() string {
	if c < Equal || c > Undecided {
		c = 0
	}
	return changeNames[c]
}

// MarshalText returns the text of [Change.String].
func (c Change) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Loosens reports whether a call may pass that did not before. It is true of [Looser],
// [Both] and [Undecided], and of a value that is no Change.
func (c Change) Loosens() bool { return c != Equal && c != Tighter }

// A Difference is the result of [Compare] for one method.
type Difference struct {
	// Method is a full method, or "/pkg.Service/*" for all methods of the service that
	// neither table names.
	Method string `json:"method"`
	// Change is the result.
	Change Change `json:"change"`
	// Old and New are the rows that decide in the tables.
	Old Row `json:"old"`
	New Row `json:"new"`
	// Admitted is the smallest caller that only the new table admits, or nil.
	Admitted *Caller `json:"admitted,omitempty"`
	// Refused is the smallest caller that only the old table admits, or nil.
	Refused *Caller `json:"refused,omitempty"`
	// Sentence explains the change to people. Do not parse it.
	Sentence string `json:"sentence"`
}

// A Row is the row of a table that decides on a method.
type Row struct {
	// Pattern is the key of the row. It is empty if no row matches: every call is refused.
	Pattern string `json:"pattern,omitempty"`
	// Rule is the printed rule, as [auth0grpc.Rule.String] returns it.
	Rule string `json:"rule,omitempty"`
}

// String returns the rule, or "not listed".
func (r Row) String() string {
	if r.Pattern == "" {
		return "not listed"
	}
	return r.Rule
}

// The bounds of a comparison, in visits of a part of a rule. A visit takes some
// nanoseconds. A rule of 12 scopes needs some hundred visits.
const (
	pairBudget  = 2_000_000
	tableBudget = 200_000_000
)

// Compare returns the effect of a new table for every method that a table names,
// sorted by method. A row for all methods of a service counts for each method without a
// row of its own. A method without a row is refused. One more entry stands for all
// methods of the service that neither table names.
//
// The result is exact: a rule and its new form are equal if they admit the same calls,
// however they are written. A token has any set of scopes and of permissions, at most one
// organization, one client and one actor, may be bound, and may be of an anonymous
// session. Among the callers that show a
// change, the result has the one with the fewest scopes and other properties.
//
// A rule about the request, such as [auth0grpc.Rule.Same], is a property of the call: a
// request meets any set of them. HideExistence does not count.
//
// Report-only counts: the row admits the calls that it would refuse. So does the policy
// for open streams: a stream that may run longer after its token expires is looser. A row
// without such a policy has the policy of the Config, which a table does not contain. It
// may be any policy, so that a change from or to it is looser unless it cannot be.
// Other fields of the Config do not count.
//
// The time is bounded: rules beyond the bound are [Undecided], or their callers are not
// the smallest. The bound is far above rules that people write.
//
// Compare returns an error if [auth0grpc.New] would refuse a row of a table. It reports
// all such rows, as [*Error] joined by errors.Join.
func Compare(old, updated map[string]auth0grpc.Rule) ([]Difference, error) {
	c := comparer{
		solver:  formula.Solver{Single: isSingle, Free: isFree},
		budget:  tableBudget,
		rules:   map[string]*access{},
		results: map[[2]string]Difference{},
	}
	before, after := c.readTable("old", old), c.readTable("new", updated)
	if err := c.errs.err(); err != nil {
		return nil, err
	}
	methods := maps.Clone(before)
	maps.Copy(methods, after)
	differences := make([]Difference, 0, len(methods))
	for _, method := range slices.Sorted(maps.Keys(methods)) {
		differences = append(differences, c.compare(method, lookup(before, method), lookup(after, method)))
	}
	return differences, nil
}

// A comparer compares the rows of two tables.
type comparer struct {
	solver  formula.Solver
	budget  int // of the whole comparison
	errs    faults
	rules   map[string]*access       // by text
	results map[[2]string]Difference // by the texts of both rows
}

// readTable returns the rows of a table in the form for comparisons.
func (c *comparer) readTable(name string, table map[string]auth0grpc.Rule) map[string]*access {
	rows := make(map[string]*access, len(table))
	for key, rule := range table {
		path := fmt.Sprintf("%s table: %s", name, key)
		if !grammar.IsMethodPattern(key) {
			c.errs.add(0, path, `is not a full method; want "/pkg.Service/Method" or "/pkg.Service/*"`)
		}
		row, err := c.readRow(key, rule)
		if err != nil {
			c.errs.add(0, path, "%s", strings.TrimPrefix(err.Error(), "auth0grpc: rule: "))
		}
		rows[key] = row
	}
	return rows
}

// lookup returns the row that decides on a method or on the other methods of a service.
func lookup(table map[string]*access, method string) *access {
	if row, ok := table[method]; ok {
		return row
	}
	if row, ok := table[method[:strings.LastIndexByte(method, '/')+1]+"*"]; ok {
		return row
	}
	return unlisted
}

func (c *comparer) compare(method string, before, after *access) Difference {
	texts := [2]string{before.text, after.text}
	d, ok := c.results[texts]
	if !ok {
		d = c.compareAccess(before, after)
		c.results[texts] = d
	}
	d.Method = method
	d.Old, d.New = before.row, after.row
	return d
}

// compareAccess returns the difference without method and rows.
func (c *comparer) compareAccess(before, after *access) Difference {
	var d Difference
	if before.text == after.text {
		d.Change, d.Sentence = Equal, "The rule is the same."
		return d
	}
	admitted, knownAdmitted := c.onlyIn(after, before)
	refused, knownRefused := c.onlyIn(before, after)
	d.Admitted, d.Refused = admitted, refused
	longer, shorter := false, false
	if l, s := compareStreams(before, after); l || s {
		if c.overlap(before, after) {
			longer, shorter = l, s
		}
	}
	d.Change = changeOf(admitted != nil || longer, refused != nil || shorter)
	if !knownAdmitted || !knownRefused {
		d.Change = Undecided
	}
	d.Sentence = sentence(&d, before, after, longer, shorter)
	return d
}

func changeOf(looser, tighter bool) Change {
	switch {
	case looser && tighter:
		return Both
	case looser:
		return Looser
	case tighter:
		return Tighter
	}
	return Equal
}

// onlyIn returns the smallest caller that one row admits and the other refuses, or nil.
// It also reports whether that is certain.
func (c *comparer) onlyIn(admitting, other *access) (caller *Caller, known bool) {
	if admitting.noToken && !other.noToken {
		return &Caller{Credential: NoToken}, true
	}
	values, answer := c.solve(admitting.valid, other.valid)
	if values != nil {
		caller = newCaller(complete(values, admitting.valid, other.valid))
	}
	switch {
	case caller != nil && !caller.Anonymous: // an expired token is plainer than an anonymous one
		return caller, true
	case admitting.expired && !other.expired:
		return &Caller{Credential: ExpiredToken}, true
	case admitting.invalid && !other.invalid:
		return &Caller{Credential: InvalidToken}, true
	case caller != nil:
		return caller, true
	}
	return nil, answer == formula.None
}

// complete adds to the values of a token that it names no actor, and that its subject is
// logged in, unless the token would then not show the difference. The actor is
// [OtherActor] if it must be one that the rules do not name.
func complete(values []formula.Value, holds, fails formula.Formula) []formula.Value {
	shows := func(values []formula.Value) bool { return holds.Holds(values) && !fails.Holds(values) }
	if login := append(values, formula.Value{Attribute: attributeSubject, Name: loggedIn}); shows(login) {
		values = login
	} else {
		values = append(values, formula.Value{Attribute: attributeSubject, Name: anonymous})
	}
	if slices.ContainsFunc(values, func(v formula.Value) bool { return v.Attribute == attributeActor }) {
		return values
	}
	if alone := append(values, formula.Value{Attribute: attributeActor, Name: noActor}); shows(alone) {
		return alone
	}
	return append(values, formula.Value{Attribute: attributeActor, Name: OtherActor})
}

// overlap reports whether both rows admit some call with the same token. It is true if
// that is not decided.
func (c *comparer) overlap(first, other *access) bool {
	_, answer := c.solve(formula.All(first.valid, other.valid), formula.False)
	return answer != formula.None
}

func (c *comparer) solve(holds, fails formula.Formula) ([]formula.Value, formula.Answer) {
	c.solver.Budget = min(pairBudget, c.budget)
	before := c.solver.Budget
	values, answer := c.solver.Smallest(holds, fails)
	c.budget -= before - c.solver.Budget
	return values, answer
}
