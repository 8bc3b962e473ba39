package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc/internal/strictjson"
)

type member struct{ Name, Value string }

var objects = []struct {
	name string
	doc  string
	want []member
	err  error
}{
	{name: "empty", doc: `{}`},
	{name: "spaced empty", doc: " \t\r\n{ } "},
	{name: "kinds", doc: ` {"a":1, "b" : "x" ,"c":[1,"]",{"d":"}"}],"e":{"f":null},"g":true}`, want: []member{
		{"a", "1"}, {"b", `"x"`}, {"c", `[1,"]",{"d":"}"}]`}, {"e", `{"f":null}`}, {"g", "true"},
	}},
	{name: "escapes", doc: `{"\u0061ud":"\"\\","\"":[]}`, want: []member{{"aud", `"\"\\"`}, {`"`, "[]"}}},
	{name: "case is kept", doc: `{"aud":1,"AUD":2}`, want: []member{{"aud", "1"}, {"AUD", "2"}}},
	{name: "last number", doc: `{"a":-1.5e3}`, want: []member{{"a", "-1.5e3"}}},

	// hashicorp/cap#191: duplicate names.
	{name: "duplicate", doc: `{"aud":1,"aud":2}`, err: strictjson.ErrDuplicate},
	{name: "duplicate by escape", doc: `{"aud":1,"\u0061ud":2}`, err: strictjson.ErrDuplicate},
	{name: "duplicate inside", doc: `{"cnf":{"jkt":1,"jkt":2}}`, err: strictjson.ErrDuplicate},
	{name: "duplicate inside an array", doc: `{"a":[{"b":1,"b":1}]}`, err: strictjson.ErrDuplicate},

	{name: "nothing", doc: ``, err: strictjson.ErrSyntax},
	{name: "array", doc: `[]`, err: strictjson.ErrSyntax},
	{name: "null", doc: `null`, err: strictjson.ErrSyntax},
	{name: "array that ends as an object", doc: `["a":1}`, err: strictjson.ErrSyntax},
	{name: "no member", doc: `{1}`, err: strictjson.ErrSyntax},
	{name: "name without its first quote", doc: `{a":1}`, err: strictjson.ErrSyntax},
	{name: "two documents", doc: `{}{}`, err: strictjson.ErrSyntax},
	{name: "cut off", doc: `{"a":`, err: strictjson.ErrSyntax},
	{name: "trailing comma", doc: `{"a":1,}`, err: strictjson.ErrSyntax},
	{name: "invalid UTF-8", doc: "{\"a\":\"\xff\"}", err: strictjson.ErrSyntax},
	{name: "deep", doc: `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, err: strictjson.ErrDepth},
	{name: "deep and unclosed", doc: `{"a":` + strings.Repeat("[", 11<<10), err: strictjson.ErrDepth},
	{name: "as deep as may be", doc: `{"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`, want: []member{
		{"a", strings.Repeat("[", 31) + strings.Repeat("]", 31)},
	}},
	{name: "brackets in a string", doc: `{"a":"\"` + strings.Repeat("[{", 40) + `"}`, want: []member{{"a", `"\"` + strings.Repeat("[{", 40) + `"`}}},
	{name: "deep objects", doc: strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), err: strictjson.ErrDepth},
}

func TestObject(t *testing.T) {
	for _, tt := range objects {
		t.Run(tt.name, func(t *testing.T) {
			var got []member
			err := strictjson.Object(tt.doc, func(name, value string) error {
				got = append(got, member{name, value})
				return nil
			})
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); tt.err == nil && diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

// A document of brackets is refused before encoding/json stacks them up (CVE-2025-27144
// and similar: input of a stranger must not cost a multiple of its size).
func TestDepthCostsNoMemory(t *testing.T) {
	doc := `{"a":` + strings.Repeat("[", 11<<10)
	allocs := testing.AllocsPerRun(100, func() {
		if err := strictjson.Object(doc, nil); err == nil {
			t.Error("accepted")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

func TestObjectStopsAtTheVisitorsError(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := strictjson.Object(`{"a":1,"b":2}`, func(string, string) error { calls++; return stop })
	if err != stop || calls != 1 {
		t.Errorf("error %v after %d calls, want the visitor's own after 1", err, calls)
	}
}

func TestString(t *testing.T) {
	for value, want := range map[string]string{`""`: "", `"x"`: "x", `"\u0041\n"`: "A\n"} {
		if got, ok := strictjson.String(value); !ok || got != want {
			t.Errorf("String(%s) = %q, %t", value, got, ok)
		}
	}
	for _, value := range []string{``, `1`, `null`, `["x"]`, `{"a":"b"}`} {
		if got, ok := strictjson.String(value); ok {
			t.Errorf("String(%s) = %q, want no string", value, got)
		}
	}
}

func TestStrings(t *testing.T) {
	got, ok := strictjson.Strings(`["a", "b\u0063"]`)
	if diff := cmp.Diff([]string{"a", "bc"}, got); !ok || diff != "" {
		t.Errorf("Strings: %t (-want +got):\n%s", ok, diff)
	}
	for _, value := range []string{``, `"a"`, `null`, `["a",1]`, `["a",null]`, `[["a"]]`, `{}`, `[a"]`, `[1"]`, `["a"}`, `["a"`, `["a"]]`} {
		if got, ok := strictjson.Strings(value); ok {
			t.Errorf("Strings(%s) = %q, want no strings", value, got)
		}
	}
}

func TestTime(t *testing.T) {
	for value, want := range map[string]time.Time{
		"0":              time.Unix(0, 0),
		"1700000000":     time.Unix(1700000000, 0),
		"1700000000.5":   time.Unix(1700000000, 5e8),
		"1.7e9":          time.Unix(1700000000, 0),
		"253402300799":   time.Unix(253402300799, 0),
		"1700000000.0e0": time.Unix(1700000000, 0),
		"-0.0":           time.Unix(0, 0),
		"0.5":            time.Unix(0, 5e8),
		"9e8":            time.Unix(900000000, 0),
		"253402300799.5": time.Unix(253402300799, 5e8),
		longNumber(64):   time.Unix(1, 0),
	} {
		if got, ok := strictjson.Time(value); !ok || !got.Equal(want) {
			t.Errorf("Time(%s) = %v, %t; want %v", value, got, ok, want)
		}
	}
	for _, value := range []string{"", "-1", "-0.5", "1e400", "1e300", "253402300800", "253402300800.0", longNumber(65), `"1700000000"`, "null", "true", "Infinity", "NaN", "[1]", "9223372036854775808"} {
		if got, ok := strictjson.Time(value); ok {
			t.Errorf("Time(%s) = %v, want no time", value, got)
		}
	}
}

// longNumber returns 1 as a number of length characters.
func longNumber(length int) string { return "1." + strings.Repeat("0", length-2) }

// FuzzObject checks invariants for any input: no panic; Object agrees with
// encoding/json, nesting, duplicates and invalid UTF-8 aside; and both find the same
// values under the same names.
func FuzzObject(f *testing.F) {
	for _, tt := range objects {
		f.Add(tt.doc)
	}
	for _, value := range values {
		f.Add(`{"a":` + value + `}`)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		got := map[string]string{}
		err := strictjson.Object(doc, func(name, value string) error {
			got[name] = value
			return nil
		})
		if want := verdict(doc); !agree(err, want) {
			t.Fatalf("%q: %v, want %v", doc, err, want)
		}
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(doc), &want); err != nil {
			t.Fatalf("accepted %q, which encoding/json refuses: %v", doc, err)
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %d members, encoding/json has %d", doc, len(got), len(want))
		}
		for name, value := range want {
			if got[name] != string(value) {
				t.Errorf("%q: member %q is %q, encoding/json has %q", doc, name, got[name], value)
			}
		}
	})
}

// agree reports whether Object returned the wanted error, or refused a document
// that has several errors for another one of them, which comes first.
func agree(got, want error) bool {
	return got == want || got != nil && want != nil
}

// verdict returns the error expected of Object for doc, derived with encoding/json. A
// document that nests too deeply may have a later error, which Object does not reach.
func verdict(doc string) error {
	switch depth, duplicate := inspect(doc); {
	case !utf8.ValidString(doc) || !strings.HasPrefix(strings.TrimLeft(doc, " \t\r\n"), "{"):
		return strictjson.ErrSyntax
	case depth > 32:
		return strictjson.ErrDepth
	case !json.Valid([]byte(doc)):
		return strictjson.ErrSyntax
	case duplicate:
		return strictjson.ErrDuplicate
	}
	return nil
}

// inspect reads doc for as long as it is JSON, and returns how deep it nests and
// whether an object names a member twice.
func inspect(doc string) (deepest int, duplicate bool) {
	type level struct {
		names map[string]bool // nil in an array
		value bool            // the next token of an object is a value
	}
	var levels []level
	for decoder := json.NewDecoder(strings.NewReader(doc)); ; {
		token, err := decoder.Token()
		if err != nil {
			return deepest, duplicate
		}
		if n := len(levels); n > 0 && levels[n-1].names != nil {
			top := &levels[n-1]
			if name, ok := token.(string); ok && !top.value {
				duplicate = duplicate || top.names[name]
				top.names[name] = true
			}
			top.value = !top.value
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}})
		case json.Delim('['):
			levels = append(levels, level{})
		case json.Delim('}'), json.Delim(']'):
			levels = levels[:len(levels)-1]
		}
		if deepest = max(deepest, len(levels)); deepest > 32 || len(levels) == 0 {
			return deepest, duplicate
		}
	}
}

// values are JSON values and near misses.
var values = []string{
	`0`, `-0`, `10`, `-1.50`, `1e5`, `1E+05`, `1.2e-3`, `true`, `false`, `null`, `""`, `"\u00e9\n\/"`, `"\ud800"`, `"é"`, `[]`, `[1,[],{}]`, `{}`,
	`00`, `01`, `-`, `+1`, `.5`, `1.`, `1.e5`, `1e`, `1e+`, `0x1`, `--1`, `1 2`, `tru`, `True`, `nulll`, `NaN`, `undefined`,
	`"`, `"\"`, `"\x"`, `"\u00g0"`, `"\u12`, "\"\n\"", "\"\x00\"", `'a'`, `[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `{"b"}`, `{"b":}`, `{"b" 1}`, `{b:1}`, `{"b":1,}`, `{"b":1 "c":2}`, `{1:2}`, `/**/1`, `1//`,
}

// Valid JSON is accepted as a value; everything else is refused.
func TestSyntax(t *testing.T) {
	for _, value := range values {
		for _, doc := range []string{`{"a":` + value + `}`, ` { "a" : ` + value + ` } `, `{"a":[` + value + `]}`, `{"a":` + value + `} x`, `{"a":` + value} {
			if got, want := strictjson.Object(doc, nil), verdict(doc); !agree(got, want) {
				t.Errorf("%q: %v, want %v", doc, got, want)
			}
		}
	}
}

// Every document cut off anywhere is no document.
func TestCutOff(t *testing.T) {
	const doc = `{"a":[1.5e+3,"\u00e9",{"b":null}],"c":true}`
	for n := range doc {
		if err := strictjson.Object(doc[:n], nil); !errors.Is(err, strictjson.ErrSyntax) {
			t.Errorf("%q: %v, want %v", doc[:n], err, strictjson.ErrSyntax)
		}
	}
}

// Object stops at the first error, so that a hostile document costs no more than
// its beginning.
func TestFirstErrorWins(t *testing.T) {
	refused := errors.New("refused")
	for doc, want := range map[string]error{
		`{"a":1,}`:                     refused,
		`{"a":1} x`:                    refused,
		`{"a":{"b":1,"b":2},"c"}`:      strictjson.ErrDuplicate,
		`{"a":[1 2],"a":3,"a":4}`:      strictjson.ErrSyntax,
		`{"a":` + deep(40) + `,"b"}`:   strictjson.ErrDepth,
		"{\"a\":1,\"a\":2,\"\xff\":3}": strictjson.ErrSyntax, // UTF-8 comes before all else
	} {
		calls := 0
		err := strictjson.Object(doc, func(string, string) error { calls++; return refused })
		if !errors.Is(err, want) || calls > 1 {
			t.Errorf("%s: %v after %d calls, want %v", doc, err, calls, want)
		}
	}
}

func deep(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// many returns an object of count members with the names that name returns.
func many(count int, name func(i int) string) string {
	members := make([]string, count)
	for i := range members {
		members[i] = fmt.Sprintf(`"%s":0`, name(i))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// The size of the table of names is estimated from the first members. Names that
// come after long members exceed the estimate.
func TestDuplicatesBehindLongMembers(t *testing.T) {
	const long, short = 40, 5000
	members := make([]string, 0, long+short+1)
	for i := range long {
		members = append(members, fmt.Sprintf(`"long%d":"%s"`, i, strings.Repeat("x", 2000)))
	}
	for i := range short {
		members = append(members, fmt.Sprintf(`"%d":0`, i))
	}
	if err := strictjson.Object("{"+strings.Join(members, ",")+"}", nil); err != nil {
		t.Errorf("distinct names: %v", err)
	}
	for _, again := range []int{0, long, long + short/2, long + short - 1} {
		doc := "{" + strings.Join(append(slices.Clone(members), members[again]), ",") + "}"
		if err := strictjson.Object(doc, nil); err != strictjson.ErrDuplicate {
			t.Errorf("member %d twice: %v", again, err)
		}
	}
}

// A duplicate is found in objects of any size, inside and around other large
// objects, and an equal name in another object is none.
func TestDuplicatesInLargeObjects(t *testing.T) {
	for _, count := range []int{2, 15, 16, 17, 18, 33, 64, 65, 1000} {
		name := func(i int) string { return fmt.Sprint("n", i) }
		large := many(count, name)
		inside := large[:len(large)-1]
		for label, doc := range map[string]string{
			"distinct":       large,
			"nested":         inside + `,"x":` + large + `,"y":[` + large + `,` + large + `]}`,
			"deeply":         strings.Repeat(inside+`,"x":`, 30) + large + strings.Repeat("}", 30),
			"around another": `{"x":` + large + `,"y":` + large + `,` + large[1:],
		} {
			if err := strictjson.Object(doc, nil); err != nil {
				t.Errorf("%d names, %s: %v", count, label, err)
			}
		}
		for i := count - 1; i >= 0; i -= 1 + count/100 { // each name, or a hundred of a thousand
			for label, doc := range map[string]string{
				"last":          inside + `,"` + name(i) + `":0}`,
				"behind nested": inside + `,"x":` + large + `,"y":` + many(40, func(i int) string { return fmt.Sprint("m", i) }) + `,"` + name(i) + `":0}`,
				"escaped":       inside + `,"\u006e` + name(i)[1:] + `":0}`,
				"inside":        inside + `,"x":` + inside + `,"` + name(i) + `":0}}`,
			} {
				if err := strictjson.Object(doc, nil); err != strictjson.ErrDuplicate {
					t.Errorf("%d names, number %d again %s: %v", count, i, label, err)
				}
			}
		}
	}
}

// Unescaped text equals the result of encoding/json, in names, strings and arrays.
func TestUnescape(t *testing.T) {
	for _, text := range []string{
		`\"\\\/\b\f\n\r\t`, `\u0000\u001F\u00e9\u20AC\uFFFF`, `\ud83d\ude00`, `\uD83D\uDE00x`, `\ud83d`, `\ude00`, `\ud83dx`,
		`\ud83d\n`, `\ud83d\u0041`, `\ud83d\ud83d\ude00`, `\ude00\ud83d`, `a\u0062c\\u0064`, `\u09afAF`, `\uaf09\uAF09`,
	} {
		var want string
		if err := json.Unmarshal([]byte(`"`+text+`"`), &want); err != nil {
			t.Fatal(err)
		}
		if got, ok := strictjson.String(`"` + text + `"`); !ok || got != want {
			t.Errorf("String(%s) = %q, %t; want %q", text, got, ok, want)
		}
		if got, ok := strictjson.Strings(`["", "` + text + `","x","` + text + `"]`); !ok || !slices.Equal(got, []string{"", want, "x", want}) {
			t.Errorf("Strings(%s) = %q, %t; want %q", text, got, ok, want)
		}
		var names []string
		err := strictjson.Object(`{"`+text+`":1,"x":2,"x`+text+`":3}`, func(name, _ string) error {
			names = append(names, name)
			return nil
		})
		if err != nil || !slices.Equal(names, []string{want, "x", "x" + want}) {
			t.Errorf("names %q, %v; want %q", names, err, want)
		}
	}
}

// An escape costs no extra allocation, in any position. (A token of 16 KiB of escapes
// once cost 40 times a plain one, before any signature check.)
func TestEscapesAllocateLittle(t *testing.T) {
	escapes := `"` + strings.Repeat(`\/`, 500) + `"`
	list := `["\/"` + strings.Repeat(`,"\/"`, 1000) + `]`
	names := many(1000, func(i int) string { return fmt.Sprint(`\/`, i) })
	repeated := many(1000, func(int) string { return `\/` })
	for name, test := range map[string]struct {
		most float64
		run  func() bool
	}{
		"string":         {2, func() bool { _, ok := strictjson.String(escapes); return ok }},
		"strings":        {4, func() bool { _, ok := strictjson.Strings(list); return ok }},
		"names":          {24, func() bool { return strictjson.Object(names, nil) == nil }},
		"repeated names": {8, func() bool { return strictjson.Object(repeated, nil) == strictjson.ErrDuplicate }},
	} {
		t.Run(name, func(t *testing.T) {
			if got := testing.AllocsPerRun(10, func() {
				if !test.run() {
					t.Error("unexpected result")
				}
			}); got > test.most {
				t.Errorf("%v allocations, want at most %v", got, test.most)
			}
		})
	}
}

// Rows for which a slip in the scanner survived the other tests.
func TestEdges(t *testing.T) {
	for doc, want := range map[string]error{
		`{1}`:                      strictjson.ErrSyntax,
		`{"a":["b":1]}`:            strictjson.ErrSyntax,
		`{"a":["b":1}`:             strictjson.ErrSyntax,
		"{\"a\":\"\x1f\"}":         strictjson.ErrSyntax,
		"{\"a\":\" \x7f\"}":        nil,
		`{"a":"\u123"}`:            strictjson.ErrSyntax,
		`{"a":"\u123x"}`:           strictjson.ErrSyntax,
		`{"a":"\u09af\uAF90"}`:     nil,
		`{"a":"\u000` + "`" + `"}`: strictjson.ErrSyntax,
		`{"a":"\u000g"}`:           strictjson.ErrSyntax,
		`{"a":"\u000@"}`:           strictjson.ErrSyntax,
		`{"a":"\u000G"}`:           strictjson.ErrSyntax,
		`{"a":"\u000:"}`:           strictjson.ErrSyntax,
		`{"a":"\u000/"}`:           strictjson.ErrSyntax,
		`{"a":1:}`:                 strictjson.ErrSyntax,
		`{"a":/}`:                  strictjson.ErrSyntax,
		`{"":1}`:                   nil,
		`{"":1,"":2}`:              strictjson.ErrDuplicate,
		`{"a":1,"b":2,"a":3}`:      strictjson.ErrDuplicate,
		`{"a":` + deep(31) + `}`:   nil,
		`{"a":` + deep(32) + `}`:   strictjson.ErrDepth,
		`{"a":[` + deep(1) + strings.Repeat(",[]", 40) + `]}`:     nil,
		`{"a":[{}` + strings.Repeat(`,{}`, 40) + `]}`:             nil,
		`{"a":[{"b":1}` + strings.Repeat(`,{"b":[1]}`, 40) + `]}`: nil,
	} {
		if got := strictjson.Object(doc, nil); got != want {
			t.Errorf("%q: %v, want %v", doc, got, want)
		}
	}
	for _, value := range []string{`[1,"a"]`, `["a",1]`, `["a"`, `["a"]]`, `["a"],`} {
		if got, ok := strictjson.Strings(value); ok {
			t.Errorf("Strings(%s) = %q, want no strings", value, got)
		}
	}
	for value, want := range map[string]time.Time{"0.0": time.Unix(0, 0), "0.5": time.Unix(0, 5e8), "0e0": time.Unix(0, 0)} {
		if got, ok := strictjson.Time(value); !ok || !got.Equal(want) {
			t.Errorf("Time(%s) = %v, %t; want %v", value, got, ok, want)
		}
	}
	for _, value := range []string{"253402300800.0", "2534023008e2", "1" + strings.Repeat("0", 64), "0." + strings.Repeat("0", 64)} {
		if got, ok := strictjson.Time(value); ok {
			t.Errorf("Time(%s) = %v, want no time", value, got)
		}
	}
}

// Nested reads a value that Object passed on.
func TestNested(t *testing.T) {
	var got []member
	err := strictjson.Object(`{"a": {"b":1, "\u0063": [{}]} }`, func(_, value string) error {
		return strictjson.Nested(value, func(name, value string) error {
			got = append(got, member{name, value})
			return nil
		})
	})
	if diff := cmp.Diff([]member{{"b", "1"}, {"c", "[{}]"}}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, value := range []string{"", "1", `"{}"`, "[]", "null"} {
		if err := strictjson.Nested(value, nil); err != strictjson.ErrSyntax {
			t.Errorf("Nested(%s) = %v", value, err)
		}
	}
}
