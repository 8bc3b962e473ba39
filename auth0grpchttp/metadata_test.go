package auth0grpchttp_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpchttp"
)

func TestMetadata(t *testing.T) {
	tenant, guard := newGuard(t, func(config *auth0grpc.Config) { config.Resource = authority + "/orders" })
	_, without := newGuard(t, nil)
	named := func(d *auth0grpc.ResourceMetadata) { d.Name, d.Scopes = "Orders", nil }
	const plain = `"bearer_methods_supported":["header"]}`
	for _, test := range []struct {
		name    string
		handler http.Handler
		method  string
		status  int
		body    string
	}{
		{"document", auth0grpchttp.Metadata(guard), "GET", 200,
			`{"resource":"https://api.example.com/orders","authorization_servers":["` + tenant.Issuer() + `"],"scopes_supported":["read:orders","write:orders"],` + plain},
		{"changed", auth0grpchttp.Metadata(guard, named), "GET", 200,
			`{"resource":"https://api.example.com/orders","resource_name":"Orders","authorization_servers":["` + tenant.Issuer() + `"],` + plain},
		{"HEAD", auth0grpchttp.Metadata(guard), "HEAD", 200, ""},
		{"preflight", auth0grpchttp.Metadata(guard), "OPTIONS", 204, ""},
		{"POST", auth0grpchttp.Metadata(guard), "POST", 405, "Method Not Allowed\n"},
		{"not configured", auth0grpchttp.Metadata(without), "GET", 404, "404 page not found\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			test.handler.ServeHTTP(w, httptest.NewRequest(test.method, "/.well-known/oauth-protected-resource/orders", nil))
			if w.Code != test.status || w.Body.String() != test.body || w.Header().Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%d %s %v, want %d %s", w.Code, w.Body, w.Header(), test.status, test.body)
			}
			h := w.Header()
			if preflight := test.status == 204; preflight != (h.Get("Access-Control-Allow-Methods") == "GET, HEAD" && h.Get("Access-Control-Allow-Headers") == "*") || (test.status == 405) != (h.Get("Allow") == "GET, HEAD, OPTIONS") {
				t.Errorf("%d: %v", test.status, h)
			}
			if test.status != 200 {
				return
			}
			if w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Header().Get("Cache-Control"), "max-age=") {
				t.Errorf("%v", w.Header())
			}
			again, r := httptest.NewRecorder(), httptest.NewRequest(test.method, "/", nil)
			r.Header.Set("If-None-Match", w.Header().Get("ETag"))
			if test.handler.ServeHTTP(again, r); again.Code != http.StatusNotModified {
				t.Errorf("with its ETag: %d", again.Code)
			}
		})
	}
}

// The challenge of a refused request has the address of the document.
func TestChallengeNamesTheMetadata(t *testing.T) {
	_, guard := newGuard(t, func(config *auth0grpc.Config) { config.Resource = authority + "/orders" })
	w := httptest.NewRecorder()
	auth0grpchttp.Handler(guard, new(ran)).ServeHTTP(w, httptest.NewRequest("POST", get, nil))
	const want = `Bearer resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/orders"`
	if got := w.Header().Get("WWW-Authenticate"); got != want {
		t.Errorf("challenge %s, want %s", got, want)
	}
}
