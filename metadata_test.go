package auth0grpc

import (
	"strings"
	"testing"
)

func TestBearerToken(t *testing.T) {
	largest := strings.Repeat("x", maxTokenBytes)
	tests := []struct {
		name   string
		values []string
		want   string
		reason Reason
	}{
		{"one", []string{"Bearer abc"}, "abc", ""},
		{"any case", []string{"bEaReR abc"}, "abc", ""},
		{"largest", []string{"Bearer " + largest}, largest, ""},
		{"too large", []string{"Bearer x" + largest}, "", ReasonTokenTooLong},
		{"none", nil, "", ReasonMissingToken},
		{"empty", []string{""}, "", ReasonMalformedAuthorization},
		{"scheme alone", []string{"Bearer "}, "", ReasonMalformedAuthorization},
		{"no space", []string{"Bearerabc"}, "", ReasonMalformedAuthorization},
		{"another scheme", []string{"Basic abc"}, "", ReasonMalformedAuthorization},
		{"two", []string{"Bearer abc", "Bearer abc"}, "", ReasonMalformedAuthorization},
		{"one and an empty one", []string{"Bearer abc", ""}, "", ReasonMalformedAuthorization},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			by, refused := parseCredential(test.values, false)
			if got := by.token; got != test.want || reasonOf(refused) != test.reason {
				t.Errorf("parseCredential = %q, %q, want %q, %q", got, reasonOf(refused), test.want, test.reason)
			}
		})
	}
	if _, refused := parseCredential(nil, false); refused != refusedMissingToken {
		t.Errorf("no metadata: %v", refused)
	}
}

func reasonOf(r *refusal) Reason {
	if r == nil {
		return ""
	}
	return r.reason
}

func TestIsToken68(t *testing.T) {
	for text, want := range map[string]bool{
		"abcXYZ019-._~+/": true, "a.b.c": true, "abc==": true,
		"": false, "=": false, "a=b": false, " a": false, "a ": false, "a\tb": false, "a\x00": false, "é": false, `"a"`: false, "a,b": false,
	} {
		if got := isToken68(text); got != want {
			t.Errorf("isToken68(%q) = %t", text, got)
		}
	}
}

// A value passes if and only if it is the only one, starts with the scheme and has a
// token of bounded size; the result is that token.
func FuzzAuthorization(f *testing.F) {
	for _, value := range []string{
		"", "Bearer", "Bearer ", "Bearer a", "bearer a.b.c", "BEARER  a", "Bearer\ta", "Basic YQ", "Bearer a\n", "ſearer a",
		"Bearer " + strings.Repeat("x", maxTokenBytes), "Bearer " + strings.Repeat("x", maxTokenBytes+1),
	} {
		f.Add(value, "", false)
		f.Add(value, value, true)
	}
	f.Fuzz(func(t *testing.T, value, second string, two bool) {
		values := []string{value}
		if two {
			values = append(values, second)
		}
		by, refused := parseCredential(values, false)
		got := by.token
		scheme, token, found := strings.Cut(value, " ")
		want := !two && found && strings.EqualFold(scheme, "bearer") && len(scheme) == 6 && token != "" && len(token) <= maxTokenBytes
		if (refused == nil) != want {
			t.Fatalf("%q: %v, want accepted: %t", values, refused, want)
		}
		if want && got != token || !want && got != "" {
			t.Errorf("%q: %q, want %q", values, got, token)
		}
	})
}

// If DPoP is accepted as well, the text before the first space is the scheme and the
// rest is the token; if not, nothing else changes.
func FuzzCredential(f *testing.F) {
	for _, value := range []string{
		"DPoP", "DPoP ", "DPoP a", "dpop a.b.c", "DPOP  a", "DPoP\ta", "DPoPa", "Bearer a", "bearer DPoP a", "DPoP Bearer a", "DPo\u212a a", "\u0440 a",
		"DPoP " + strings.Repeat("x", maxTokenBytes), "DPoP " + strings.Repeat("x", maxTokenBytes+1),
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		by, refused := parseCredential([]string{value}, true)
		without, refusedWithout := parseCredential([]string{value}, false)
		name, token, found := strings.Cut(value, " ")
		schemes := map[string]scheme{"bearer": schemeBearer, "dpop": schemeDPoP}
		want, known := schemes[asciiLower(name)]
		if accepted := found && known && token != "" && len(token) <= maxTokenBytes; accepted != (refused == nil) {
			t.Fatalf("%q: %v", value, refused)
		} else if accepted && by != (credential{want, token}) || !accepted && by != (credential{}) {
			t.Errorf("%q: %+v", value, by)
		}
		if refused == nil && by.scheme == schemeDPoP {
			if refusedWithout != refusedDPoPNotAccepted || without != (credential{}) {
				t.Errorf("%q where DPoP is not taken: %+v, %v", value, without, refusedWithout)
			}
		} else if without != by || refusedWithout != refused {
			t.Errorf("%q: %+v, %v, and where DPoP is not taken %+v, %v", value, by, refused, without, refusedWithout)
		}
		if _, refused := parseCredential([]string{value, value}, true); refused != refusedTwoAuthorizations {
			t.Errorf("%q twice: %v", value, refused)
		}
	})
}

// asciiLower is strings.ToLower for the characters of a scheme.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
