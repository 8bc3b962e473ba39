package integration

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// newGateway puts grpc-gateway in front of a server. Two options bring the
// challenge to HTTP clients: one lets the metadata through under its own name,
// the other keeps the gateway from adding the status message as a challenge.
func newGateway(t *testing.T, s *server) string {
	t.Helper()
	mux := runtime.NewServeMux(
		runtime.WithOutgoingHeaderMatcher(func(key string) (string, bool) {
			if key == "www-authenticate" {
				return "WWW-Authenticate", true
			}
			return runtime.MetadataHeaderPrefix + key, true
		}),
		runtime.WithErrorHandler(func(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
			runtime.DefaultHTTPErrorHandler(ctx, mux, m, challengeWriter{w}, r, err)
		}),
	)
	if err := ordersv1.RegisterOrdersHandler(t.Context(), mux, s.dial(t)); err != nil {
		t.Fatal(err)
	}
	return s.serveHTTP(t, mux)
}

// A challengeWriter drops the first of several challenges: grpc-gateway's own,
// which is the text of the status.
type challengeWriter struct{ http.ResponseWriter }

func (w challengeWriter) WriteHeader(status int) {
	if values := w.Header().Values("WWW-Authenticate"); len(values) > 1 {
		w.Header()["Www-Authenticate"] = values[1:]
	}
	w.ResponseWriter.WriteHeader(status)
}

func TestGRPCGateway(t *testing.T) {
	s := newStage(t)
	front := newGateway(t, s.server)
	nowhere := fmt.Sprintf("https://127.0.0.1:%d/", freePort(t)) // no server listens there
	without := newGateway(t, serve(t, s.authority, []string{nowhere}, bearerOnly))
	lost := unsigned(nowhere)
	for _, row := range []struct {
		name, token, method, url string
		status                   int
		challenge                string // its beginning
		body                     string
	}{
		{"public", "", http.MethodGet, front + "/v1/status", 200, "", "open"},
		{"unary", s.token, http.MethodGet, front + "/v1/orders/7", 200, "", "tea"},
		{"stream", s.token, http.MethodGet, front + "/v1/orders:watch?count=3", 200, "", `{"result":{"id":"2"`},
		{"no token", "", http.MethodGet, front + "/v1/orders/7", 401, "Bearer", "MISSING_TOKEN"},
		{"no token, stream", "", http.MethodGet, front + "/v1/orders:watch", 401, "Bearer", "MISSING_TOKEN"},
		{"bad token", "x", http.MethodGet, front + "/v1/orders/7", 401, `Bearer error="invalid_token"`, "MALFORMED_TOKEN"},
		{"insufficient scope", s.token, http.MethodPost, front + "/v1/orders", 403, `Bearer error="insufficient_scope"`, "INSUFFICIENT_SCOPE"},
		{"not listed", s.token, http.MethodDelete, front + "/v1/orders", 403, "", "METHOD_NOT_LISTED"},
		{"no keys", lost, http.MethodGet, without + "/v1/orders/7", 503, "", "KEYS_UNAVAILABLE"},
	} {
		status, header, body := s.fetch(t, row.method, row.url, row.token)
		challenges := header.Values("WWW-Authenticate")
		if status != row.status || !strings.Contains(body, row.body) {
			t.Errorf("%s: %d %s, want %d with %s", row.name, status, body, row.status, row.body)
		}
		if row.challenge == "" && len(challenges) > 0 || row.challenge != "" && (len(challenges) != 1 || !strings.HasPrefix(challenges[0], row.challenge)) {
			t.Errorf("%s: challenges %q, want %q", row.name, challenges, row.challenge)
		}
	}
	summarize(t, "HTTP: 401, 403 and 503, WWW-Authenticate as a header")
}
