package auth0grpchttp

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/auth0grpc/auth0grpc"
)

// refused returns a refusal of the zero Interceptor.
func refused(t *testing.T) *auth0grpc.Refusal {
	t.Helper()
	_, err := new(auth0grpc.Interceptor).Check(t.Context(), auth0grpc.Request{FullMethod: "/a.B/C"})
	refusal, ok := err.(*auth0grpc.Refusal)
	if !ok {
		t.Fatal(err)
	}
	return refusal
}

func TestPercentEncode(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "no token": "no token", " ~": " ~", "100%": "100%25", "a\r\nb": "a%0D%0Ab", "\x1f\x7f\x80": "%1F%7F%80", "é": "%C3%A9",
	} {
		if got := percentEncode(text); got != want {
			t.Errorf("percentEncode(%q) = %q, want %q", text, got, want)
		}
	}
}

// A connection whose body would cost more than a new connection is closed. HTTP/2 has no
// such header.
func TestConnectionClose(t *testing.T) {
	refusal := refused(t)
	for _, test := range []struct {
		protocol int
		length   int64
		want     string
	}{
		{1, 0, ""}, {1, 64 << 10, ""}, {1, 64<<10 + 1, "close"}, {1, -1, "close"}, {2, 64<<10 + 1, ""}, {2, -1, ""},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/a.B/C", nil)
		r.ProtoMajor, r.ContentLength = test.protocol, test.length
		WriteRefusal(w, r, refusal)
		if got := w.Header().Get("Connection"); got != test.want {
			t.Errorf("HTTP/%d with %d bytes: %q, want %q", test.protocol, test.length, got, test.want)
		}
	}
}

// Each protocol gets its own headers and no others.
func TestHeadersOfRefusals(t *testing.T) {
	refusal := refused(t)
	for mediaType, want := range map[string]string{
		"": "application/json", "application/proto": "application/json",
		"application/connect+json": "application/connect+json", "application/grpc-web-text": "application/grpc-web-text", "Application/gRPC": "application/grpc",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/a.B/C", nil)
		r.Header.Set("Content-Type", mediaType)
		WriteRefusal(w, r, refusal)
		h := w.Header()
		isJSON := want == "application/json"
		if h.Get("Content-Type") != want || (h.Get("X-Content-Type-Options") == "nosniff") != isJSON || (h.Get("Content-Length") != "") != isJSON {
			t.Errorf("%q: %v", mediaType, h)
		}
		if isGRPC := strings.HasPrefix(want, "application/grpc"); (h.Get("Grpc-Retry-Pushback-Ms") != "") != (isGRPC && refusal.RetryAfter() > 0) {
			t.Errorf("%q: %v", mediaType, h)
		}
		if _, ok := h["Dpop-Nonce"]; ok != (refusal.DPoPNonce() != "") {
			t.Errorf("%q: %v, beside the nonce %q", mediaType, h, refusal.DPoPNonce())
		}
	}
}

// The details of a Connect error can be read without a decoder.
func TestDebugOfDetails(t *testing.T) {
	for _, detail := range errorOf(refused(t).GRPCStatus().Proto()).Details {
		var debug map[string]any
		if err := json.Unmarshal(detail.Debug, &debug); err != nil || debug["domain"] != auth0grpc.ErrorDomain {
			t.Errorf("%s: %s, %v", detail.Type, detail.Debug, err)
		}
	}
}
