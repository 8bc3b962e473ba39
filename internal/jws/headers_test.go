package jws

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/auth0grpc/auth0grpc/internal/base64url"
)

// tokenWith returns a parsed token with a kid and its text.
func tokenWith(t testing.TB, keyID, payload string) (token *Token, raw string) {
	t.Helper()
	raw = base64url.Encode(fmt.Appendf(nil, `{"alg":"RS256","kid":%q}`, keyID)) + "." + base64url.Encode([]byte(payload)) + ".AA"
	token, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return token, raw
}

// A header is found from the time that a token with it was added, up to a bound.
func TestHeaders(t *testing.T) {
	var h Headers
	for i := range maxHeaders + 10 {
		token, raw := tokenWith(t, fmt.Sprint(i), "{}")
		if h.Find(raw) != nil {
			t.Errorf("header %d: found before it was added", i)
		}
		h.Add(token)
		h.Add(token)
		other, otherRaw := tokenWith(t, fmt.Sprint(i), `{"other":1}`)
		got := h.Find(otherRaw)
		if found := got != nil && *got == other.Header; found != (i < maxHeaders) || h.Incomplete() == found {
			t.Errorf("header %d: found %v, and incomplete = %t", i, got, h.Incomplete())
		}
	}
	if n := 1 + len(h.set.Load().others); n != maxHeaders {
		t.Errorf("%d headers kept, want %d", n, maxHeaders)
	}
}

// A header up to a length is remembered, as the first one and later.
func TestLongHeaders(t *testing.T) {
	for _, others := range []int{0, 1, 2} {
		for length, remembered := range map[int]bool{maxHeaderText - 1: true, maxHeaderText: true, maxHeaderText + 2: false, 16 << 10: false} {
			var h Headers
			for i := range others {
				token, _ := tokenWith(t, fmt.Sprint(i), "{}")
				h.Add(token)
			}
			_, short := tokenWith(t, "", "{}")
			missing := length - strings.IndexByte(short, '.') // characters of the header, each a third more
			token, raw := tokenWith(t, strings.Repeat("x", missing*3/4), "{}")
			if got := strings.IndexByte(raw, '.'); got != length {
				t.Fatalf("the header has %d characters, want %d", got, length)
			}
			h.Add(token)
			if got := h.Find(raw); (got != nil) != remembered || h.Incomplete() == remembered {
				t.Errorf("%d others, %d characters: found = %t, incomplete = %t", others, length, got != nil, h.Incomplete())
			}
		}
	}
}

// A header that begins with a header that is known is another one.
func TestHeadersAreCompleteTexts(t *testing.T) {
	var h Headers
	token, raw := tokenWith(t, "k", "{}")
	h.Add(token)
	header, rest, _ := strings.Cut(raw, ".")
	for _, other := range []string{"", ".", header, header + "A." + rest, header[:len(header)-1] + "." + rest, strings.ToUpper(raw)} {
		if h.Find(other) != nil {
			t.Errorf("%q has the header of %q", other, raw)
		}
	}
}

// A known header changes nothing else about a token.
func TestParseWithKnownHeader(t *testing.T) {
	var h Headers
	token, raw := tokenWith(t, "k", "{}")
	h.Add(token)
	for _, text := range []string{raw, raw + ".", raw + "=", raw[:len(raw)-2] + "AB", raw[:len(raw)-2], strings.Replace(raw, ".", "..", 1), strings.Replace(raw, ".", ".*", 1)} {
		var got Token
		err := got.Parse(text, h.Find(text))
		want, wantErr := Parse(text)
		if err != wantErr {
			t.Errorf("%q: %v with a known header, %v without", text, err, wantErr)
		}
		if err == nil && (got.Header != want.Header || got.Payload != want.Payload || string(got.Signature) != string(want.Signature) || got.signingInput != want.signingInput) {
			t.Errorf("%q: %+v with a known header, %+v without", text, got, want)
		}
	}
}

// No header is lost when many are added at once.
func TestHeadersAddedAtOnce(t *testing.T) {
	var h Headers
	var calls sync.WaitGroup
	texts := make([]string, maxHeaders)
	for i := range texts {
		token, raw := tokenWith(t, fmt.Sprint(i), "{}")
		texts[i] = raw
		calls.Go(func() { h.Add(token) })
	}
	calls.Wait()
	for i, raw := range texts {
		if got := h.Find(raw); got == nil || got.KeyID != fmt.Sprint(i) {
			t.Errorf("header %d: %v", i, got)
		}
	}
}

// The list keeps the headers and nothing else of the tokens.
func TestHeadersKeepNoToken(t *testing.T) {
	var h Headers
	token, raw := tokenWith(t, "k", "{}")
	h.Add(token)
	other, otherRaw := tokenWith(t, "other", "{}")
	h.Add(other)
	kept := map[string]string{strings.TrimSuffix(h.set.Load().text, "."): h.set.Load().text}
	for text := range h.set.Load().others {
		kept[text] = text
	}
	for _, raw := range []string{raw, otherRaw} {
		header, _, _ := strings.Cut(raw, ".")
		if got := kept[header]; got == "" || unsafe.StringData(got) == unsafe.StringData(raw) {
			t.Errorf("kept %q of %q, want a copy of the header", got, raw)
		}
	}
}

// BenchmarkFind measures the search for the header of a token of 16 KiB, among some
// headers: one of them, or another one.
func BenchmarkFind(b *testing.B) {
	for _, count := range []int{1, 10, 100, 1000} {
		var h Headers
		for i := range count {
			token, _ := tokenWith(b, fmt.Sprint(i), "{}")
			h.Add(token)
		}
		payload := strings.Repeat(" ", 12<<10) + "{}"
		_, known := tokenWith(b, fmt.Sprint(count-1), payload)
		_, unknown := tokenWith(b, "other", payload)
		for name, raw := range map[string]string{"known": known, "unknown": unknown} {
			b.Run(fmt.Sprintf("%d/%s", count, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if found := h.Find(raw) != nil; found != (name == "known") {
						b.Fatal(found)
					}
				}
			})
		}
	}
}
