package grammar_test

import (
	"regexp"
	"testing"

	"github.com/auth0grpc/auth0grpc/internal/grammar"
)

// methodPattern and scope are the grammars as regular expressions.
var (
	methodPattern = regexp.MustCompile(`^/([A-Za-z_][A-Za-z0-9_]*\.)*[A-Za-z_][A-Za-z0-9_]*/([A-Za-z_][A-Za-z0-9_]*|\*)$`)
	scope         = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`)
)

func TestIsMethodPattern(t *testing.T) {
	tests := map[string]bool{
		"/a.B/Get": true, "/a.B/*": true, "/B/Get": true, "/_a._B9/_9": true, "/a.b.c.D/E": true,
		"": false, "/": false, "//": false, "a.B/Get": false, "/a.B": false, "/a.B/": false, "//a.B/Get": false,
		"/a.B//Get": false, "/a.B/Get/": false, "/a.B/x/Get": false, "/a..B/Get": false, "/.B/Get": false, "/a./Get": false,
		"/9.B/Get": false, "/a.B/9": false, "/a.B/**": false, "/a.B/Get*": false, "/*/Get": false, "/a.*/Get": false,
		"/a.B/G et": false, "/a.B/Gét": false, "/a.B/Get\n": false, " /a.B/Get": false, "/a-b.C/D": false,
	}
	for key, want := range tests {
		if got := grammar.IsMethodPattern(key); got != want {
			t.Errorf("IsMethodPattern(%q) = %t, want %t", key, got, want)
		}
	}
}

func TestIsScope(t *testing.T) {
	tests := map[string]bool{
		"read:orders": true, "a/b": true, "~": true, "!": true, "'": true, "[]": true,
		"": false, " ": false, "a b": false, "a\"": false, `a\`: false, "ä": false, "a\x7f": false, "a\t": false, "\xff": false,
	}
	for name, want := range tests {
		if got := grammar.IsScope(name); got != want {
			t.Errorf("IsScope(%q) = %t, want %t", name, got, want)
		}
	}
}

func FuzzGrammar(f *testing.F) {
	for _, seed := range []string{"/a.B/Get", "/a.B/*", "/a..B/Get", "read:orders", "a b", "\xff", "/a.B/Get\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := grammar.IsMethodPattern(text), methodPattern.MatchString(text); got != want {
			t.Errorf("IsMethodPattern(%q) = %t, want %t", text, got, want)
		}
		if got, want := grammar.IsScope(text), scope.MatchString(text); got != want {
			t.Errorf("IsScope(%q) = %t, want %t", text, got, want)
		}
	})
}
