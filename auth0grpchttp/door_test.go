package auth0grpchttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpchttp"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// Only a path that is a full method reaches the table, the hook and the log. All other
// paths have no method.
func TestMethodOfPath(t *testing.T) {
	var seen []string
	_, guard := newGuard(t, func(config *auth0grpc.Config) {
		config.OnDecision = func(_ context.Context, d auth0grpc.Decision) { seen = append(seen, d.FullMethod) }
	})
	door := auth0grpchttp.Handler(guard, new(ran))
	for path, want := range map[string]bool{
		get: true, "/a/b": true, "/a.b_c.D9/E_9": true, "/_/_": true,
		"": false, "/": false, "//": false, "/a": false, "/a/": false, "//b": false, "/ab": false, "/abc": false, "xa/b": false,
		"/a/b/c": false, "/a/b/": false, "/a..b/c": false, "/.a/b": false, "/a./b": false, "/a b/c": false, "/a/b c": false,
		"/9a/b": false, "/a/9b": false, "/a.9b/c": false, "/a/b.c": false, "/a/é": false, "/a/b*": false,
		"/a@/b": false, "/a[/b": false, "/a`/b": false, "/a{/b": false, "/a//b": false, "/a:/b": false, "/a/b@": false,
		"/aZ/bz": true, "/Az/bA": true, "/a0/b9": true,
	} {
		seen = nil
		r := httptest.NewRequest("POST", "/", nil)
		r.URL = &url.URL{Path: path}
		door.ServeHTTP(httptest.NewRecorder(), r)
		if !want {
			path = ""
		}
		if len(seen) != 1 || seen[0] != path {
			t.Errorf("%q was decided as %q", path, seen)
		}
	}
}

// A plain request, unary Connect included, has no limit in time; a stream has one. Both
// are forgotten when their handler has returned, and none has an empty nonce.
func TestKindsOfCalls(t *testing.T) {
	for _, f := range forms {
		tenant, guard := newGuard(t, nil)
		var ended, again bool
		door := auth0grpchttp.Handler(guard, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if open := guard.Stats().OpenStreams; (open == 1) != isStream(f) {
				t.Errorf("%s: %d open streams", f.name, open)
			}
			if again {
				return
			}
			if err := guard.Revoke(context.Background(), auth0grpc.Revocation{Issuer: tenant.Issuer(), Subject: "auth0|left"}); err != nil {
				t.Error(err)
			}
			ended = r.Context().Err() != nil
		}))
		for _, subject := range []string{"auth0|left", "auth0|stays"} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(f.method, get, nil)
			r.Header.Set("Content-Type", f.contentType)
			r.Header.Set("Authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders", "sub": subject}))
			door.ServeHTTP(w, r)
			if values := w.Header().Values("DPoP-Nonce"); w.Code != 200 || len(values) > 0 {
				t.Errorf("%s: %d, nonce %q", f.name, w.Code, values)
			}
			again = true
		}
		if ended != isStream(f) {
			t.Errorf("%s: the context ended: %t", f.name, ended)
		}
		if stats := guard.Stats(); stats.OpenStreams != 0 || stats.LingeringStreams != 0 {
			t.Errorf("%s: %d open, %d lingering", f.name, stats.OpenStreams, stats.LingeringStreams)
		}
	}
}

func isStream(f form) bool {
	return f.contentType != "" && !strings.HasPrefix(f.contentType, "application/proto") && !strings.HasPrefix(f.contentType, "application/json")
}

// Media types fold case, and only gRPC's media types are answered as gRPC.
func TestMediaTypes(t *testing.T) {
	_, guard := newGuard(t, nil)
	for mediaType, want := range map[string]bool{
		"Application/gRPC": true, "APPLICATION/GRPC+PROTO": true, " application/grpc ;charset=utf-8": true, "application/grpc-web-text": true,
		"application/grpcx": false, "application/grpc/x": false, "application/grp": false, "text/application/grpc": false,
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", get, nil)
		r.Header.Set("Content-Type", mediaType)
		auth0grpchttp.Handler(guard, new(ran)).ServeHTTP(w, r)
		if got := w.Header().Get("Grpc-Status") == "16"; got != want || (w.Code == 200) != want {
			t.Errorf("%q: %d %v", mediaType, w.Code, w.Header())
		}
	}
}

// A deadlineWriter counts the deadlines of its connection.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	set atomic.Int64
}

func (d *deadlineWriter) SetReadDeadline(time.Time) error { d.set.Add(1); return nil }

// The connection of a stream that has ended by itself is left as it was: it may serve
// another request by then.
func TestConnectionIsLeftAlone(t *testing.T) {
	tenant, guard := newGuard(t, nil)
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest("POST", get, nil)
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
	handler := new(ran)
	auth0grpchttp.Handler(guard, handler).ServeHTTP(w, r)
	for range 1000 {
		runtime.Gosched() // time for a deadline that must not come
	}
	if n := w.set.Load(); n > 0 || handler.count() != 1 {
		t.Errorf("%d deadlines, the handler ran %d times", n, handler.count())
	}
}

// A request in absolute form has the path that its proof names.
func TestDPoPOfAbsoluteForm(t *testing.T) {
	tenant, guard := newGuard(t, func(config *auth0grpc.Config) {
		config.DPoP = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{authority}}
	})
	key := auth0grpctest.NewDPoPKey()
	token := tenant.BoundToken(claims{"scope": "read:orders"}, key)
	for target, htu := range map[string]string{
		authority + get:         authority + get,
		authority + get + "?a":  authority + get,
		get:                     authority + get,
		"http://proxy.example":  authority + "/",
		"http://proxy.example/": authority + "/",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", target, nil)
		r.Header["Authorization"] = []string{"DPoP " + token}
		r.Header["Dpop"] = []string{key.Proof(htu, token, nil)}
		auth0grpchttp.Handler(guard, new(ran), auth0grpchttp.FullMethod(get)).ServeHTTP(w, r)
		if w.Code != 200 {
			t.Errorf("%s with a proof for %s: %d %v", target, htu, w.Code, w.Header())
		}
	}
}

// Routes keeps its own copy of the methods.
func TestRoutesAreCopied(t *testing.T) {
	tenant, guard := newGuard(t, nil)
	methods := map[string]string{"a": create}
	door := auth0grpchttp.Handler(guard, new(ran), auth0grpchttp.Routes(func(*http.Request) string { return "a" }, methods))
	methods["a"] = get
	w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders"}))
	if door.ServeHTTP(w, r); w.Code != http.StatusForbidden {
		t.Errorf("%d after a change of the caller's map", w.Code)
	}
}
