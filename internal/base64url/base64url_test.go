package base64url_test

import (
	"strings"
	"testing"

	"github.com/auth0grpc/auth0grpc/internal/base64url"
)

// encoding/base64 skips line breaks, so any number of them at any place would make another
// spelling.
func TestDecodeRefusesLineBreaks(t *testing.T) {
	const text = "AQABAQAB"
	for length := range len(text) + 1 {
		for at := range length + 1 {
			for count := 1; count <= 9; count++ {
				for _, lineBreak := range []string{"\n", "\r"} {
					broken := text[:at] + strings.Repeat(lineBreak, count) + text[at:length]
					if got, ok := base64url.Decode(broken); ok {
						t.Errorf("Decode(%q) = %q", broken, got)
					}
				}
			}
		}
	}
}

func TestDecode(t *testing.T) {
	tests := []struct {
		text, want string
		ok         bool
	}{
		{"", "", true},
		{"YQ", "a", true},
		{"_-8", "\xff\xef", true},
		{"YQ==", "", false}, // padding
		{"YR", "", false},   // stray bits
		{"Y\nQ", "", false},
		{"Y\rQ", "", false},
		{"YQ\r\n", "", false},
		{"Y", "", false},
		{"AQAB", "\x01\x00\x01", true},
		{"AR", "", false},
		{"AQ=", "", false},
		{"-_", "", false},
		{"\nAQ", "", false},
		{"AQ ", "", false},
		{"AQAB!", "", false},
		{"/+8", "", false}, // base64
	}
	for _, test := range tests {
		got, ok := base64url.Decode(test.text)
		if ok != test.ok || ok && string(got) != test.want {
			t.Errorf("Decode(%q) = %q, %t, want %q, %t", test.text, got, ok, test.want, test.ok)
		}
		if ok && (base64url.Encode(got) != test.text || string(base64url.AppendEncode([]byte("x"), got)) != "x"+test.text) {
			t.Errorf("%q has another spelling: %q", test.text, base64url.Encode(got))
		}
	}
}
