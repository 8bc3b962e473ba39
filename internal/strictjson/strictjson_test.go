package strictjson_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

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

// A document of brackets is refused before encoding/json stacks them up
// (CVE-2025-27144 and its like: what a stranger sends must not cost a multiple of
// its size).
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
	for _, value := range []string{``, `"a"`, `null`, `["a",1]`, `["a",null]`, `[["a"]]`, `{}`} {
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
	} {
		if got, ok := strictjson.Time(value); !ok || !got.Equal(want) {
			t.Errorf("Time(%s) = %v, %t; want %v", value, got, ok, want)
		}
	}
	for _, value := range []string{"", "-1", "-0.5", "1e400", "1e300", "253402300800", `"1700000000"`, "null", "true", "Infinity", "NaN", "[1]", "9223372036854775808"} {
		if got, ok := strictjson.Time(value); ok {
			t.Errorf("Time(%s) = %v, want no time", value, got)
		}
	}
}

// FuzzObject states what holds for any input: no panic; what is accepted is
// what encoding/json accepts as an object, with the same values under the same
// names; each value is valid JSON of its own.
func FuzzObject(f *testing.F) {
	for _, tt := range objects {
		f.Add(tt.doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		got := map[string]string{}
		err := strictjson.Object(doc, func(name, value string) error {
			got[name] = value
			return nil
		})
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
