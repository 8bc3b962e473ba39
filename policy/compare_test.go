package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
)

// TestCompareMethods compares tables row by row: rows that appear and vanish, and rows
// for services.
func TestCompareMethods(t *testing.T) {
	read, write := auth0grpc.Scopes("read"), auth0grpc.Scopes("write")
	for _, test := range []struct {
		name       string
		old, after table
		want       []string // method, change and sentence
	}{
		{"no rows", table{}, table{}, []string{}},
		{"same", table{"/a.B/C": read}, table{"/a.B/C": read}, []string{"/a.B/C equal: The rule is the same."}},
		{
			"appears", table{}, table{"/a.B/C": read},
			[]string{"/a.B/C looser: The new table admits a token with scope read, which the old one refuses. The old table does not list the method."},
		},
		{
			"vanishes", table{"/a.B/C": auth0grpc.Public()}, nil,
			[]string{"/a.B/C tighter: The new table refuses a call without a token, which the old one admits. The new table does not list the method."},
		},
		{
			"exact row becomes a wildcard", table{"/a.B/C": read}, table{"/a.B/*": read},
			[]string{
				"/a.B/* looser: The new table admits a token with scope read, which the old one refuses. The old table does not list the method.",
				"/a.B/C equal: The rule is the same.",
			},
		},
		{
			"exact row vanishes under a wildcard", table{"/a.B/*": read, "/a.B/C": write}, table{"/a.B/*": read},
			[]string{
				"/a.B/* equal: The rule is the same.",
				"/a.B/C both: The new table admits a token with scope read and refuses a token with scope write; the old one does the opposite.",
			},
		},
		{
			"exact row appears under a wildcard", table{"/a.B/*": read}, table{"/a.B/*": read, "/a.B/C": auth0grpc.Scopes("read", "write")},
			[]string{
				"/a.B/* equal: The rule is the same.",
				"/a.B/C tighter: The new table refuses a token with scope read, which the old one admits.",
			},
		},
		{
			"wildcard vanishes", table{"/a.B/*": auth0grpc.Authenticated()}, table{"/a.B/C": auth0grpc.Authenticated()},
			[]string{
				"/a.B/* tighter: The new table refuses a valid token without scopes, which the old one admits. The new table does not list the method.",
				"/a.B/C equal: The rule is the same.",
			},
		},
		{
			"a service is no prefix of another", table{"/a.B/*": read}, table{"/a.B/*": read, "/a.BC/D": read},
			[]string{
				"/a.B/* equal: The rule is the same.",
				"/a.BC/D looser: The new table admits a token with scope read, which the old one refuses. The old table does not list the method.",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			differences, err := policy.Compare(test.old, test.after)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, d := range differences {
				got = append(got, fmt.Sprintf("%s %s: %s", d.Method, d.Change, d.Sentence))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompareRules(t *testing.T) {
	read, write := auth0grpc.Scopes("read"), auth0grpc.Scopes("write")
	for _, test := range []struct {
		name       string
		old, after auth0grpc.Rule
		want       string
	}{
		{"another order", auth0grpc.Scopes("a", "b"), auth0grpc.Scopes("b", "a"), "equal: The rule has another form and admits the same calls."},
		{"distributed", auth0grpc.AllOf(read, auth0grpc.AnyScope("a", "b")), auth0grpc.AnyOf(auth0grpc.Scopes("read", "a"), auth0grpc.Scopes("b", "read")), "equal: The rule has another form and admits the same calls."},
		{"absorbed", read, auth0grpc.AnyOf(read, auth0grpc.AllOf(read, write)), "equal: The rule has another form and admits the same calls."},
		{
			"all becomes any", auth0grpc.Scopes("a", "b"), auth0grpc.AnyScope("a", "b"),
			"looser: The new table admits a token with scope a, which the old one refuses.",
		},
		{
			"scope and permission are no synonyms", read, auth0grpc.Permissions("read"),
			"both: The new table admits a token with permission read and refuses a token with scope read; the old one does the opposite.",
		},
		{
			"one organization of a token", auth0grpc.AllOf(auth0grpc.Organizations("org_a"), auth0grpc.Organizations("org_b")), auth0grpc.Organizations("org_a"),
			"looser: The new table admits a token with organization org_a, which the old one refuses.",
		},
		{
			"rules that admit nothing", auth0grpc.AllOf(auth0grpc.Clients("a"), auth0grpc.Clients("b")), auth0grpc.AllOf(auth0grpc.Organizations("org_a"), auth0grpc.Organizations("org_b")),
			"equal: The rule has another form and admits the same calls.",
		},
		{
			"a client too many", auth0grpc.AllOf(auth0grpc.Clients("a", "b"), auth0grpc.Scopes("read")), auth0grpc.AllOf(auth0grpc.Clients("b", "c"), auth0grpc.Scopes("read")),
			"both: The new table admits a token with scope read and client c and refuses a token with scope read and client a; the old one does the opposite.",
		},
		{"public for optional", auth0grpc.Optional(), auth0grpc.Public(), "looser: The new table admits a call with an expired token, which the old one refuses."},
		{"optional for public", auth0grpc.Public(), auth0grpc.Optional(), "tighter: The new table refuses a call with an expired token, which the old one admits."},
		{"optional", auth0grpc.Authenticated(), auth0grpc.Optional(), "looser: The new table admits a call without a token, which the old one refuses."},
		{"public to report-only", auth0grpc.Public(), read.ReportOnly(), "tighter: The new table refuses a call with an invalid token, which the old one admits."},
		{"report-only", read, read.ReportOnly(), "looser: The new table admits a call without a token, which the old one refuses. Streams may run longer after their token expires."},
		{"enforced", read.ReportOnly(), read, "tighter: The new table refuses a call without a token, which the old one admits. Streams may end earlier after their token expires."},
		{"report-only of another rule", read.ReportOnly(), write.ReportOnly(), "equal: The rule has another form and admits the same calls."},
		{"report-only enforces bindings", read.ReportOnly(), read.RequireDPoP().ReportOnly(), "tighter: The new table refuses a valid token without scopes, which the old one admits."},
		{"binding", read, read.RequireMTLS(), "tighter: The new table refuses a token with scope read, which the old one admits."},
		{
			"other binding", read.RequireDPoP(), read.RequireMTLS(),
			"both: The new table admits a token bound by mTLS with scope read and refuses a token bound by DPoP with scope read; the old one does the opposite.",
		},
		{"one binding of two", auth0grpc.Authenticated().RequireDPoP().RequireMTLS(), auth0grpc.Authenticated().RequireDPoP(), "looser: The new table admits a token bound by DPoP, which the old one refuses."},
		{"optional with a binding", auth0grpc.Optional(), auth0grpc.Optional().RequireDPoP(), "tighter: The new table refuses a valid token without scopes, which the old one admits."},
		{"streams", read.Streams(auth0grpc.EndAtExpiry()), read.Streams(auth0grpc.EndAfter(time.Minute)), "looser: Streams may run longer after their token expires."},
		{"shorter streams", read.Streams(auth0grpc.IgnoreExpiry()), read.Streams(auth0grpc.EndAfter(time.Minute)), "tighter: Streams may end earlier after their token expires."},
		{"streams without a policy of their own", read, read.Streams(auth0grpc.EndAtExpiry()), "tighter: Streams may end earlier after their token expires."},
		{"streams as the Config says", read.Streams(auth0grpc.EndAtExpiry()), read, "looser: Streams may run longer after their token expires."},
		{
			"streams that end later", read, read.Streams(auth0grpc.EndAfter(time.Minute)),
			"both: Streams may run longer or shorter after their token expires; that depends on Config.StreamPolicy.",
		},
		{"streams of a public method", auth0grpc.Public(), auth0grpc.Public().Streams(auth0grpc.IgnoreExpiry()), "equal: The rule has another form and admits the same calls."},
		{
			"streams of no common token", auth0grpc.Clients("a").Streams(auth0grpc.EndAtExpiry()), auth0grpc.Clients("b").Streams(auth0grpc.IgnoreExpiry()),
			"both: The new table admits a token with client b and refuses a token with client a; the old one does the opposite.",
		},
		{
			"tighter with longer streams", read.Streams(auth0grpc.EndAtExpiry()), auth0grpc.Scopes("read", "write").Streams(auth0grpc.IgnoreExpiry()),
			"both: The new table refuses a token with scope read, which the old one admits. Streams may run longer after their token expires.",
		},
		{
			"long lists", auth0grpc.AnyScope("a"), auth0grpc.Scopes("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"),
			"tighter: The new table refuses a token with scope a, which the old one admits.",
		},
		{
			"long lists appear", auth0grpc.Clients("x"), auth0grpc.Scopes("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"),
			"both: The new table admits a token with scope a, scope b, scope c, scope d, scope e, scope f, scope g, scope h, scope i, scope j and 2 more scopes and refuses a token with client x; the old one does the opposite.",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			differences, err := policy.Compare(table{"/a.B/C": test.old}, table{"/a.B/C": test.after})
			if err != nil {
				t.Fatal(err)
			}
			d := differences[0]
			if got := fmt.Sprintf("%s: %s", d.Change, d.Sentence); got != test.want {
				t.Errorf("%s, then %s:\n%s\nwant\n%s", test.old, test.after, got, test.want)
			}
			if want := d.Change != policy.Equal && d.Change != policy.Tighter; d.Change.Loosens() != want {
				t.Errorf("%s.Loosens() = %t", d.Change, !want)
			}
		})
	}
}

// Compare reads every member of a row: a change of one that it ignored would be "equal".
func TestCompareCoversEveryModifier(t *testing.T) {
	values := map[string]string{
		"streams": `"endAtExpiry"`, "same": `{"field": "a", "claim": "SUBJECT"}`, "relation": `{"relation": "r", "object": "o:{a}"}`,
	}
	for _, member := range policy.Modifiers() {
		value, ok := values[member]
		if !ok {
			value = "true"
		}
		row := `"authenticated": true, "` + member + `": ` + value
		if member == "hideExistence" { // needs something to hide, and does not affect calls
			row += `, "same": {"field": "a", "claim": "SUBJECT"}`
		}
		changed, err := policy.Parse([]byte(`{"methods": {"/a.B/C": {` + row + `}}}`))
		if err != nil {
			t.Errorf("%s: %v; give this test a value for the member", member, err)
			continue
		}
		differences, err := policy.Compare(table{"/a.B/C": auth0grpc.Authenticated()}, changed)
		if err != nil || differences[0].Change == policy.Equal {
			t.Errorf("%s: %v, %v; want a change", member, differences, err)
		}
	}
}

// Compare reports the faults of both tables at once.
func TestCompareFaults(t *testing.T) {
	_, err := policy.Compare(table{"/a.B/C": {}, "a.B/C": auth0grpc.Public()}, table{"/a.B/C": auth0grpc.Scopes()})
	want := `policy: new table: /a.B/C: at least one name is wanted; use Authenticated to ask for no scope
policy: old table: /a.B/C: no rule is stated; use Scopes, Authenticated or, to let everyone in, Public
policy: old table: a.B/C: is not a full method; want "/pkg.Service/Method" or "/pkg.Service/*"`
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// Rules in each other do not exhaust the stack or the memory.
func TestCompareDeepRules(t *testing.T) {
	nested := func(depth int) auth0grpc.Rule {
		rule := auth0grpc.Scopes("a")
		for range depth {
			rule = auth0grpc.AnyOf(rule)
		}
		return rule
	}
	differences, err := policy.Compare(table{"/a.B/C": nested(300)}, table{"/a.B/C": nested(0)})
	if err != nil || differences[0].Change != policy.Equal {
		t.Errorf("%v, %v; want equal", differences, err)
	}
	if _, err := policy.Compare(table{"/a.B/C": nested(5000)}, nil); err == nil || !strings.Contains(err.Error(), "1000 levels") {
		t.Errorf("error %v, want one that names the limit", err)
	}
}

// hardTable has rules whose comparison takes time that doubles with each row of n.
func hardTable(n, rows int) (before, after table) {
	var holes, fails []auth0grpc.Rule
	scope := func(pigeon, hole int) string { return fmt.Sprintf("p%d-%d", pigeon, hole) }
	for pigeon := range n + 1 {
		var some []string
		for hole := range n {
			some = append(some, scope(pigeon, hole))
			for other := range pigeon {
				fails = append(fails, auth0grpc.Scopes(scope(pigeon, hole), scope(other, hole)))
			}
		}
		holes = append(holes, auth0grpc.AnyScope(some...))
	}
	before, after = table{}, table{}
	for row := range rows {
		key := fmt.Sprintf("/a.B/M%d", row)
		own := auth0grpc.Scopes(fmt.Sprint("own", row))
		before[key] = auth0grpc.AnyOf(append(fails, own)...)
		after[key] = auth0grpc.AllOf(append(holes, auth0grpc.Authenticated(), auth0grpc.AnyOf(own, auth0grpc.Authenticated()))...)
	}
	return before, after
}

// Beyond the bound the result says so, and counts as looser. A small rule in the same
// table is decided if the bound of the table allows it.
func TestCompareBound(t *testing.T) {
	before, after := hardTable(14, 3)
	before["/a.B/A"], after["/a.B/A"] = auth0grpc.Scopes("a"), auth0grpc.AnyScope("a", "b")
	differences, err := policy.Compare(before, after)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		want := policy.Undecided
		if d.Method == "/a.B/A" {
			want = policy.Looser
		}
		if d.Change != want || !d.Change.Loosens() {
			t.Errorf("%s: %s, want %s", d.Method, d.Change, want)
		}
	}
	if before, after = hardTable(4, 1); true {
		differences, err := policy.Compare(before, after)
		if err != nil || differences[0].Change != policy.Tighter {
			t.Errorf("a small one: %v, %v; want tighter", differences, err)
		}
	}
}

// The JSON form of a difference is for other programs.
func TestDifferenceJSON(t *testing.T) {
	differences, err := policy.Compare(
		table{"/a.B/C": auth0grpc.Organizations("org_a")},
		table{"/a.B/*": auth0grpc.AllOf(auth0grpc.Permissions("p"), auth0grpc.Clients("m")).RequireDPoP()},
	)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(differences[1], "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "method": "/a.B/C",
  "change": "both",
  "old": {
    "pattern": "/a.B/C",
    "rule": "organization(org_a)"
  },
  "new": {
    "pattern": "/a.B/*",
    "rule": "permission(p) AND client(m), DPoP required"
  },
  "admitted": {
    "credential": "valid",
    "permissions": [
      "p"
    ],
    "client": "m",
    "dpop": true
  },
  "refused": {
    "credential": "valid",
    "organization": "org_a"
  },
  "sentence": "The new table admits a token bound by DPoP with permission p and client m and refuses a token with organization org_a; the old one does the opposite."
}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	if got := policy.Change(0); got.String() != "unknown" || !got.Loosens() {
		t.Errorf("the zero Change: %s, %t", got, got.Loosens())
	}
	if got := (policy.Row{}).String(); got != "not listed" {
		t.Errorf("the zero Row: %s", got)
	}
}
