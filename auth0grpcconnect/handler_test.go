package auth0grpcconnect_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcconnect"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// shapes are requests as a client can send them to any path.
var shapes = []struct {
	name, method, contentType string
	version                   int
	header                    http.Header
}{
	{"Connect", "POST", "application/json", 1, nil},
	{"Connect, binary", "POST", "application/proto", 2, nil},
	{"Connect, unknown codec", "POST", "application/xml", 1, nil},
	{"Connect, unknown compression", "POST", "application/json", 1, http.Header{"Content-Encoding": {"x"}}},
	{"Connect, bad timeout", "POST", "application/json", 1, http.Header{"Connect-Timeout-Ms": {"x"}}},
	{"Connect stream", "POST", "application/connect+json", 2, nil},
	{"Connect stream over HTTP/1.1", "POST", "application/connect+json", 1, nil},
	{"Connect stream, unknown compression", "POST", "application/connect+json", 2, http.Header{"Connect-Content-Encoding": {"x"}}},
	{"gRPC", "POST", "application/grpc", 2, nil},
	{"gRPC over HTTP/1.1", "POST", "application/grpc", 1, nil},
	{"gRPC, unknown compression", "POST", "application/grpc", 2, http.Header{"Grpc-Encoding": {"x"}}},
	{"gRPC, bad timeout", "POST", "application/grpc", 2, http.Header{"Grpc-Timeout": {"x"}}},
	{"gRPC-Web", "POST", "application/grpc-web+proto", 1, nil},
	{"gRPC-Web text", "POST", "application/grpc-web-text", 1, nil},
	{"no content type", "POST", "", 1, nil},
	{"GET", "GET", "", 1, nil},
	{"HEAD", "HEAD", "", 1, nil},
	{"PUT", "PUT", "application/json", 1, nil},
	{"OPTIONS", "OPTIONS", "", 1, nil},
	{"preflight", "OPTIONS", "", 1, http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"POST"}}},
	{"other method", "PURGE", "", 1, nil},
}

// answer returns the response of a handler to a request of a shape, as text.
func answer(handler http.Handler, shape int, path, query, authorization string) (status int, text string) {
	s := shapes[shape]
	r := httptest.NewRequest(s.method, path+query, bytes.NewReader(make([]byte, 5)))
	r.ProtoMajor, r.ProtoMinor, r.Proto = s.version, 2-s.version, fmt.Sprintf("HTTP/%d.%d", s.version, 2-s.version)
	r.Header = s.header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if s.contentType != "" {
		r.Header.Set("Content-Type", s.contentType)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	w.Header().Set("X-Of-Middleware", "1")
	handler.ServeHTTP(w, r)
	response := w.Result()
	return response.StatusCode, fmt.Sprint(response.StatusCode, response.Header, response.Trailer, w.Body)
}

// A stranger cannot tell the registered procedures from the others, by any shape of
// request. Nor can the holder of a token for other methods.
func TestHandlerHidesProcedures(t *testing.T) {
	f := newFixture(t)
	handler := auth0grpcconnect.Handler(f.guard, f.mux)
	paths := []string{unlisted, unknown, service, "/other.v1.Service/Method", "/", unlisted + "/"}
	for name, authorization := range map[string]string{
		"no token": "", "bad token": "Bearer x",
		"good token": "Bearer " + f.tenant.Token(claims{"scope": "read:orders"}),
		"expired":    "Bearer " + f.tenant.Token(claims{"exp": time.Now().Add(-time.Hour)}),
	} {
		for i, shape := range shapes {
			known := paths
			if name != "good token" {
				known = append([]string{unary, duplex, owned}, paths...)
			}
			for _, query := range []string{"", "?connect=v1&encoding=json&message=%7B%7D"} {
				_, want := answer(handler, i, known[0], query, authorization)
				for _, path := range known[1:] {
					if _, got := answer(handler, i, path, query, authorization); got != want {
						t.Errorf("%s, %s, %s%s: %s\n%s has: %s", name, shape.name, path, query, got, known[0], want)
					}
				}
				if !strings.Contains(want, "X-Of-Middleware") || strings.Contains(want, "Trailer:") {
					t.Errorf("%s, %s: %s", name, shape.name, want)
				}
			}
		}
	}
	if len(f.ran) > 0 {
		t.Errorf("%s ran", <-f.ran)
	}
}

// An admitted request gets Connect's own answer.
func TestHandlerPassesAnswers(t *testing.T) {
	f := newFixture(t)
	handler := auth0grpcconnect.Handler(f.guard, f.mux)
	authorization := "Bearer " + f.tenant.Token(claims{"scope": "read:orders"})
	for i, shape := range shapes {
		for _, query := range []string{"", "?connect=v1&encoding=json&message=%7B%7D"} {
			_, want := answer(f.mux, i, unary, query, authorization)
			if _, got := answer(handler, i, unary, query, authorization); got != want {
				t.Errorf("%s%s: %s\nwithout Handler: %s", shape.name, query, got, want)
			}
		}
	}
}

// A proof is used once: by the interceptor or by the handler.
func TestHandlerDecidesOnce(t *testing.T) {
	const authority = "https://api.example.com"
	f := newFixture(t, func(config *auth0grpc.Config) {
		config.DPoP = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{authority}}
	})
	handler := auth0grpcconnect.Handler(f.guard, f.mux)
	key := auth0grpctest.NewDPoPKey()
	token := f.tenant.BoundToken(claims{"scope": "read:orders"}, key)
	for _, test := range []struct {
		method string
		status int
	}{{"POST", http.StatusOK}, {"PUT", http.StatusMethodNotAllowed}} {
		proof := key.Proof(authority+unary, token, claims{"htm": test.method})
		for _, want := range []int{test.status, http.StatusUnauthorized} {
			r := httptest.NewRequest(test.method, unary, strings.NewReader("{}"))
			r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"DPoP " + token}, "Dpop": {proof}}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s: %d %s, want %d", test.method, w.Code, w.Body, want)
			}
		}
	}
}

// BenchmarkHandler measures a call with a known token with and without Handler, and a
// request that Connect answers by itself, which Handler decides on.
func BenchmarkHandler(b *testing.B) {
	f := newFixture(b)
	authorization := "Bearer " + f.tenant.Token(claims{"scope": "read:orders"})
	for _, door := range []struct {
		name    string
		handler http.Handler
	}{{"Connect", f.mux}, {"Handler", auth0grpcconnect.Handler(f.guard, f.mux)}} {
		for _, call := range []struct {
			name, method string
			status       int
		}{{"call", "POST", http.StatusOK}, {"wrong method", "PUT", http.StatusMethodNotAllowed}} {
			b.Run(call.name+"/"+door.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r := httptest.NewRequest(call.method, unary, strings.NewReader("{}"))
					r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {authorization}}
					w := httptest.NewRecorder()
					door.handler.ServeHTTP(w, r)
					if w.Code != call.status {
						b.Fatal(w.Code, w.Body)
					}
					select {
					case <-f.ran:
					default:
					}
				}
			})
		}
	}
}

// A handler may call another server in process with its own context. The decision there
// is not the decision on the request.
func TestHandlerKeepsItsDecision(t *testing.T) {
	f := newFixture(t)
	f.unary = func(ctx context.Context) error {
		inner := auth0grpcconnect.Interceptor(f.guard)(func(context.Context, connect.Spec, connect.ServerStream) error { return nil })
		if err := inner(ctx, connect.Spec{Procedure: unlisted}, nil); err == nil {
			t.Error("the inner call was not refused")
		}
		return nil
	}
	r := httptest.NewRequest("POST", unary, strings.NewReader("{}"))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + f.tenant.Token(claims{"scope": "read:orders"})}}
	w := httptest.NewRecorder()
	auth0grpcconnect.Handler(f.guard, f.mux).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
