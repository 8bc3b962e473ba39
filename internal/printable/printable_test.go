package printable

import (
	"strings"
	"testing"
)

func TestCut(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "abc": "abc", "abcd": "abcd", "abcde": "abcd...", "a\nb": "a?b", "\x7f~ ": "?~ ", "é": "??", "abcé": "abc?...",
		strings.Repeat("\x00", 1<<20): "????...",
	} {
		if got := Cut(text, 4); got != want {
			t.Errorf("Cut(%.10q, 4) = %q, want %q", text, got, want)
		}
	}
}
