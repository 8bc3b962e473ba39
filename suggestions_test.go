package auth0grpc

import (
	"fmt"
	"testing"
)

func TestEditDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "xbc", 1},
		{"kitten", "sitting", 3}, {"aab", "ab", 1}, {"ab", "aab", 1}, {"abab", "ab", 2}, {"ab", "ba", 2}, {"xaay", "xay", 1},
	}
	for _, test := range tests {
		if got := editDistance(test.a, test.b); got != test.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

// A large table has too many candidates to compare each name with all.
func TestSuggestionsOfLargeTables(t *testing.T) {
	var methods []string
	for i := range 5000 {
		methods = append(methods, fmt.Sprintf("/shop%d.v1.Service%d/Get%d", i, i/20, i%20))
	}
	methods = append(methods, "/orders.v1.Orders/Get", "/orders.v1.Orders/Create", "/orders.v1.Orders/Watch")
	names, wildcards := newSuggestions(methods), newSuggestions(wildcardsFor(methods))
	tests := []struct {
		candidates *suggestions
		name, want string
	}{
		{names, "/orders.v1.Orders/create", "; did you mean /orders.v1.Orders/Create?"}, // the same service
		{names, "/orders.v1.Order/Watch", "; did you mean /orders.v1.Orders/Watch?"},    // the same method
		{names, "/order.v1.Orders/Creat", "; did you mean /orders.v1.Orders/Create?"},   // another package
		{names, "/billing.Invoices/List", ""},
		{wildcards, "/orders.v2.Orders/*", "; did you mean /orders.v1.Orders/*?"},
		{wildcards, "/billing.Invoices/*", ""},
	}
	for _, test := range tests {
		if got := test.candidates.didYouMean(test.name); got != test.want {
			t.Errorf("didYouMean(%q) = %q, want %q", test.name, got, test.want)
		}
	}
	for part, named := range names.byPart {
		if len(named) > maxCompared {
			t.Errorf("%d candidates for the part %q, want at most %d", len(named), part, maxCompared)
		}
	}
}
