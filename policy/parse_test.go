package policy_test

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
	"github.com/auth0grpc/auth0grpc/policy/internal/corpus"
)

// rulesEqual compares all fields of rules, which is more than their printed form.
var rulesEqual = cmp.Comparer(func(a, b auth0grpc.Rule) bool { return reflect.DeepEqual(a, b) })

// places returns "line:column: path" of every fault in an error of Parse.
func places(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var all []string
	for _, one := range err.(interface{ Unwrap() []error }).Unwrap() {
		var fault *policy.Error
		if !errors.As(one, &fault) {
			t.Fatalf("%v is a %T, want a *policy.Error", one, one)
		}
		if fault.Reason == "" {
			t.Errorf("%v has no reason", fault)
		}
		all = append(all, fmt.Sprintf("%d:%d: %s", fault.Line, fault.Column, fault.Path))
	}
	return all
}

// An unknown member is a fault and never ignored (GO-2026-6061).
func TestParse(t *testing.T) {
	for _, document := range corpus.Documents() {
		t.Run(document.Name, func(t *testing.T) {
			methods, err := policy.Parse([]byte(document.Text))
			if diff := cmp.Diff(document.Faults, places(t, err)); diff != "" {
				t.Errorf("faults (-want +got):\n%s\n%v", diff, err)
			}
			if (methods == nil) != (err != nil) {
				t.Errorf("Parse returned the table %v and the error %v", methods, err)
			}
		})
	}
}

func TestParseMakesTheRulesThatGoMakes(t *testing.T) {
	const document = `{"methods": {
		"/a.B/1": {"scopes": ["a", "b"]},
		"/a.B/2": {"public": true}}}`
	if _, err := policy.Parse([]byte(document)); err == nil {
		t.Error("a method's name cannot begin with a digit")
	}
	got, err := policy.Parse([]byte(strings.NewReplacer("/1", "/One", "/2", "/Two").Replace(document)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]auth0grpc.Rule{"/a.B/One": auth0grpc.Scopes("a", "b"), "/a.B/Two": auth0grpc.Public()}
	if diff := cmp.Diff(want, got, rulesEqual); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestErrorText(t *testing.T) {
	_, err := policy.Parse([]byte("{\"methods\": {\n  \"/a.B/C\": {\"scopes\": [\"\"]}}}"))
	const want = `policy: 2:25: $.methods["/a.B/C"].scopes[0]: is empty`
	if err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, document := range corpus.Documents() {
		f.Add([]byte(document.Text))
	}
	guard := newGuard(f, map[string]auth0grpc.Rule{"/a.B/C": auth0grpc.Public()})
	f.Fuzz(func(t *testing.T, document []byte) {
		methods, err := policy.Parse(document)
		if err != nil {
			places(t, err)
			return
		}
		if len(methods) > 0 {
			if err := guard.SetMethods(methods); err != nil {
				t.Errorf("Parse accepted what SetMethods does not: %v", err)
			}
		}
		canonical, err := policy.Marshal(methods)
		if err != nil {
			t.Fatalf("Marshal of what Parse returned: %v", err)
		}
		again, err := policy.Parse(canonical)
		if err != nil {
			t.Fatalf("Parse of what Marshal returned: %v", err)
		}
		if diff := cmp.Diff(methods, again, rulesEqual); diff != "" {
			t.Errorf("round trip (-before +after):\n%s", diff)
		}
		if twice, err := policy.Marshal(again); err != nil || !bytes.Equal(canonical, twice) {
			t.Errorf("canonical document changes: %v\n%s\n%s", err, canonical, twice)
		}
	})
}
