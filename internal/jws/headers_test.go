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
	for i := range 2 * maxHeaders {
		token, raw := tokenWith(t, fmt.Sprint(i), "{}")
		if h.Find(raw) != nil || h.Full() != (i >= maxHeaders) {
			t.Errorf("header %d: found before it was added, or full = %t", i, h.Full())
		}
		h.Add(token)
		h.Add(token)
		other, otherRaw := tokenWith(t, fmt.Sprint(i), `{"other":1}`)
		got := h.Find(otherRaw)
		if found := got != nil && *got == other.Header; found != (i < maxHeaders) {
			t.Errorf("header %d: found %v", i, got)
		}
	}
	if n := len(*h.list.Load()); n != maxHeaders {
		t.Errorf("%d headers kept, want %d", n, maxHeaders)
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
	header, _, _ := strings.Cut(raw, ".")
	got := (*h.list.Load())[0].text
	if got != header+"." {
		t.Errorf("kept %q", got)
	}
	if unsafe.StringData(got) == unsafe.StringData(raw) {
		t.Error("the text of a header keeps its whole token in memory")
	}
}

// BenchmarkFind measures the search for the header of a token of 16 KiB.
func BenchmarkFind(b *testing.B) {
	for _, count := range []int{1, maxHeaders} {
		var h Headers
		for i := range count {
			token, _ := tokenWith(b, fmt.Sprint(i), "{}")
			h.Add(token)
		}
		_, raw := tokenWith(b, "other", strings.Repeat(" ", 12<<10)+"{}")
		b.Run(fmt.Sprintf("%d", count), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if h.Find(raw) != nil {
					b.Fatal("found")
				}
			}
		})
	}
}
