package auth0grpchttp_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpchttp"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

type claims = map[string]any

const (
	get, create, open = "/orders.v1.Orders/Get", "/orders.v1.Orders/Create", "/orders.v1.Orders/Status"
	authority         = "https://api.example.com"
)

func newGuard(tb testing.TB, change func(*auth0grpc.Config)) (*auth0grpctest.Tenant, *auth0grpc.Interceptor) {
	tb.Helper()
	tenant := auth0grpctest.NewTenant(tb)
	config := auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{
			get: auth0grpc.Scopes("read:orders"), create: auth0grpc.Scopes("write:orders"), open: auth0grpc.Public(),
		},
	}
	if change != nil {
		change(&config)
	}
	guard, err := auth0grpc.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	return tenant, guard
}

// ran answers with the subject of the token, and counts.
type ran struct {
	mu    sync.Mutex
	paths []string
}

func (h *ran) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paths = append(h.paths, r.URL.Path)
	token, ok := auth0grpc.TokenFromContext(r.Context())
	if ok {
		fmt.Fprint(w, token.Subject())
	}
}

func (h *ran) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.paths)
}

// A form is a protocol as a client sends it.
type form struct{ name, method, contentType string }

var forms = []form{
	{"plain", http.MethodPost, ""},
	{"Connect unary", http.MethodPost, "application/proto"},
	{"Connect JSON", http.MethodPost, "application/json; charset=utf-8"},
	{"Connect GET", http.MethodGet, ""},
	{"Connect stream", http.MethodPost, "application/connect+json"},
	{"gRPC", http.MethodPost, "application/grpc+proto"},
	{"gRPC-Web", http.MethodPost, "application/grpc-web+proto"},
	{"gRPC-Web text", http.MethodPost, "application/grpc-web-text"},
}

// verdictOf returns the status of a refusal in the form of its protocol, or nil.
func verdictOf(t *testing.T, f form, response *http.Response, body []byte) *status.Status {
	t.Helper()
	switch {
	case strings.HasPrefix(f.contentType, "application/grpc"):
		if response.StatusCode != 200 || len(body) > 0 && response.Header.Get("Grpc-Status") != "" {
			t.Errorf("%d with the body %q", response.StatusCode, body)
		}
		if response.Header.Get("Grpc-Status") == "" {
			return nil
		}
		text, err := base64.RawStdEncoding.DecodeString(response.Header.Get("Grpc-Status-Details-Bin"))
		if err != nil {
			t.Fatal(err)
		}
		var p spb.Status
		if err := proto.Unmarshal(text, &p); err != nil {
			t.Fatal(err)
		}
		if strconv.Itoa(int(p.GetCode())) != response.Header.Get("Grpc-Status") || p.GetMessage() != response.Header.Get("Grpc-Message") {
			t.Errorf("%v and %v", &p, response.Header)
		}
		return status.FromProto(&p)
	case f.contentType == "application/connect+json":
		if response.StatusCode != 200 {
			t.Errorf("status %d", response.StatusCode)
		}
		if len(body) == 0 || body[0] != 2 {
			return nil
		}
		var end struct{ Error json.RawMessage }
		if err := json.Unmarshal(body[5:], &end); err != nil || int(body[4])+int(body[3])<<8 != len(body)-5 {
			t.Fatalf("%v in %q", err, body)
		}
		return statusOf(t, end.Error)
	}
	if response.StatusCode == 200 {
		return nil
	}
	if got := response.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	return statusOf(t, body)
}

// statusOf returns the details of a Connect error as a status.
func statusOf(t *testing.T, text []byte) *status.Status {
	t.Helper()
	var e struct {
		Code, Message string
		Details       []struct{ Type, Value string }
	}
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	code := slices.Index([]string{5: "not_found", 7: "permission_denied", 14: "unavailable", 16: "unauthenticated"}, e.Code)
	p := &spb.Status{Code: int32(code), Message: e.Message}
	for _, d := range e.Details {
		value, err := base64.RawStdEncoding.DecodeString(d.Value)
		if err != nil {
			t.Fatal(err)
		}
		p.Details = append(p.Details, &anyMessage{TypeUrl: "type.googleapis.com/" + d.Type, Value: value})
	}
	return status.FromProto(p)
}

// One corpus of tokens has one verdict and one reason in every protocol, and they are
// those that Check returns.
func TestVerdictsInEveryForm(t *testing.T) {
	tenant, guard := newGuard(t, nil)
	good := tenant.Token(claims{"scope": "read:orders"})
	handler := new(ran)
	server := httptest.NewServer(auth0grpchttp.Handler(guard, handler))
	t.Cleanup(server.Close)
	for _, test := range []struct {
		name, path    string
		authorization []string
		reason        auth0grpc.Reason
	}{
		{"good", get, []string{"Bearer " + good}, ""},
		{"public", open, nil, ""},
		{"none", get, nil, auth0grpc.ReasonMissingToken},
		{"two", get, []string{"Bearer " + good, "Bearer " + good}, auth0grpc.ReasonMalformedAuthorization},
		{"garbage", get, []string{"Bearer a.b.c"}, auth0grpc.ReasonMalformedToken},
		{"expired", get, []string{"Bearer " + tenant.Token(claims{"exp": time.Now().Add(-time.Hour)})}, auth0grpc.ReasonTokenExpired},
		{"audience", get, []string{"Bearer " + tenant.Token(claims{"aud": "https://other.example"})}, auth0grpc.ReasonWrongAudience},
		{"scope", create, []string{"Bearer " + good}, auth0grpc.ReasonInsufficientScope},
		{"unlisted", "/orders.v1.Orders/Drop", []string{"Bearer " + good}, auth0grpc.ReasonMethodNotListed},
		{"unmapped", "/", []string{"Bearer " + good}, auth0grpc.ReasonMethodNotListed},
	} {
		method := test.path
		if test.name == "unmapped" {
			method = ""
		}
		_, err := guard.Check(t.Context(), auth0grpc.Request{FullMethod: method, Authorization: test.authorization})
		if reason, _ := auth0grpc.ReasonFromError(err); reason != test.reason {
			t.Errorf("%s: Check returns %q, want %q", test.name, reason, test.reason)
		}
		for _, f := range forms {
			t.Run(test.name+"/"+f.name, func(t *testing.T) {
				request, err := http.NewRequest(f.method, server.URL+test.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header["Authorization"] = test.authorization
				request.Header.Set("Content-Type", f.contentType)
				before := handler.count()
				response, body := do(t, request)
				got := verdictOf(t, f, response, body)
				reason, _ := auth0grpc.ReasonFromError(got.Err())
				if reason != test.reason || handler.count()-before != map[bool]int{true: 1}[test.reason == ""] {
					t.Errorf("%q, want %q; the handler ran %d times", reason, test.reason, handler.count()-before)
				}
				if test.reason == "" {
					return
				}
				if values := response.Header.Values("Cache-Control"); !slices.Equal(values, []string{"no-store"}) {
					t.Errorf("Cache-Control %q", values)
				}
				if response.Header["Retry-After"] != nil || response.Header["Grpc-Retry-Pushback-Ms"] != nil || response.Close {
					t.Errorf("%v, close: %t", response.Header, response.Close)
				}
				var refusal *auth0grpc.Refusal
				_, err = guard.Check(t.Context(), auth0grpc.Request{FullMethod: method, Authorization: test.authorization})
				if !asRefusal(err, &refusal) {
					t.Fatal(err)
				}
				if diff := cmp.Diff(refusal.Challenges(), response.Header.Values("WWW-Authenticate"), cmpEmpty); diff != "" {
					t.Errorf("challenges (-want +got):\n%s", diff)
				}
				if got.Code() != refusal.GRPCStatus().Code() || got.Message() != refusal.GRPCStatus().Message() || !auth0grpc.RefusedBeforeHandler(got.Err()) {
					t.Errorf("%v, want %v", got, refusal.GRPCStatus())
				}
			})
		}
	}
}

func do(t *testing.T, request *http.Request) (*http.Response, []byte) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

func TestRetryAfter(t *testing.T) {
	tenant, guard := newGuard(t, nil)
	tenant.SetDown(true)
	for _, f := range forms {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(f.method, get, nil)
		r.Header.Set("Authorization", "Bearer "+tenant.Token(nil))
		r.Header.Set("Content-Type", f.contentType)
		auth0grpchttp.Handler(guard, new(ran)).ServeHTTP(w, r)
		seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
		if err != nil || seconds < 1 {
			t.Errorf("%s: %d %v", f.name, w.Code, w.Header())
		}
		pushback, _ := strconv.Atoi(w.Header().Get("Grpc-Retry-Pushback-Ms"))
		if isGRPC := strings.HasPrefix(f.contentType, "application/grpc"); (pushback > 0) != isGRPC || isGRPC && (pushback+999)/1000 != seconds {
			t.Errorf("%s: %v", f.name, w.Header())
		}
		if f.contentType == "" && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d", f.name, w.Code)
		}
	}
}

// No spelling of a path makes another method decide than the one that runs.
func TestPathTricks(t *testing.T) {
	tenant, guard := newGuard(t, nil)
	token := tenant.Token(claims{"scope": "read:orders"})
	handler := new(ran)
	server := httptest.NewServer(auth0grpchttp.Handler(guard, handler))
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	for name, line := range map[string]string{
		"escaped letter":     "POST /orders.v1.Orders/%47et HTTP/1.1",
		"escaped slash":      "POST /orders.v1.Orders%2fGet HTTP/1.1",
		"double slash":       "POST //orders.v1.Orders/Get HTTP/1.1",
		"slash at the end":   "POST /orders.v1.Orders/Get/ HTTP/1.1",
		"dots":               "POST /orders.v1.Orders/Status/../Create HTTP/1.1",
		"escaped dots":       "POST /orders.v1.Orders/Status/%2e%2e/Create HTTP/1.1",
		"dot":                "POST /./orders.v1.Orders/Create HTTP/1.1",
		"case":               "POST /orders.v1.orders/status HTTP/1.1",
		"public, with slash": "POST /orders.v1.Orders/Status/ HTTP/1.1",
		"semicolon":          "POST /orders.v1.Orders/Status;x HTTP/1.1",
		"space":              "POST /orders.v1.Orders/Status%20 HTTP/1.1",
		"null":               "POST /orders.v1.Orders/Status%00 HTTP/1.1",
		"star":               "OPTIONS * HTTP/1.1",
		"wildcard":           "POST /orders.v1.Orders/* HTTP/1.1",
		"root":               "GET / HTTP/1.1",
		"absolute, other":    "POST http://" + address + "/orders.v1.Orders/Create HTTP/1.1",
		"override":           "POST /orders.v1.Orders/Create HTTP/1.1\r\nX-HTTP-Method-Override: GET\r\nX-Original-URL: /orders.v1.Orders/Status\r\nX-Rewrite-URL: /orders.v1.Orders/Status",
		"preflight":          "OPTIONS /orders.v1.Orders/Create HTTP/1.1\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: POST",
	} {
		t.Run(name, func(t *testing.T) {
			response := raw(t, address, line+"\r\nHost: "+address+"\r\nAuthorization: Bearer "+token+"\r\n\r\n")
			if response.StatusCode != http.StatusForbidden && response.StatusCode != http.StatusBadRequest || handler.count() > 0 {
				if name != "star" || response.StatusCode != 200 { // net/http answers this one
					t.Errorf("status %d, ran %q", response.StatusCode, handler.paths)
				}
			}
		})
	}
	for name, line := range map[string]string{
		"absolute":  "POST http://other.example/orders.v1.Orders/Get HTTP/1.1",
		"query":     "POST /orders.v1.Orders/Get?/orders.v1.Orders/Create HTTP/1.1",
		"HEAD":      "HEAD /orders.v1.Orders/Get HTTP/1.1",
		"HTTP/1.0":  "GET /orders.v1.Orders/Get HTTP/1.0",
		"upgrade":   "GET /orders.v1.Orders/Get HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c",
		"100 lines": "GET /orders.v1.Orders/Get HTTP/1.1" + strings.Repeat("\r\nX-Filler: x", 100),
	} {
		t.Run(name, func(t *testing.T) {
			before := handler.count()
			response := raw(t, address, line+"\r\nHost: "+address+"\r\nAuthorization: Bearer "+token+"\r\n\r\n")
			if response.StatusCode != 200 || handler.count() != before+1 || handler.paths[before] != get {
				t.Errorf("status %d, ran %q", response.StatusCode, handler.paths)
			}
			if refused := raw(t, address, line+"\r\nHost: "+address+"\r\n\r\n"); refused.StatusCode != 401 {
				t.Errorf("without a token: %d", refused.StatusCode)
			}
		})
	}
}

func TestPreflight(t *testing.T) {
	_, guard := newGuard(t, nil)
	handler, cors := new(ran), new(ran)
	door := auth0grpchttp.Handler(guard, handler, auth0grpchttp.Preflight(cors))
	for _, test := range []struct {
		method string
		header http.Header
		passes int
	}{
		{"OPTIONS", http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"POST"}}, 1},
		{"OPTIONS", http.Header{"Origin": {"https://a.example"}}, 0},
		{"OPTIONS", http.Header{"Access-Control-Request-Method": {"POST"}}, 0},
		{"POST", http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"POST"}}, 0},
	} {
		before := cors.count()
		w, r := httptest.NewRecorder(), httptest.NewRequest(test.method, create, nil)
		r.Header = test.header
		door.ServeHTTP(w, r)
		if cors.count()-before != test.passes || handler.count() > 0 || (w.Code == 401) != (test.passes == 0) {
			t.Errorf("%s %v: %d", test.method, test.header, w.Code)
		}
	}
}

// Old gateways turn these headers into metadata.
func TestPlantedHeadersAreDropped(t *testing.T) {
	tenant, guard := newGuard(t, nil)
	var seen http.Header
	next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header })
	for _, authorization := range []string{"", "Bearer " + tenant.Token(claims{"scope": "read:orders"})} {
		seen = nil
		r := httptest.NewRequest("POST", get, nil)
		r.Header = http.Header{"Grpc-Metadata-Authorization": {"Bearer x"}, "Grpc-Metadata-Dpop": {"x"}, "Grpc-Metadata-Trace": {"1"}}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		auth0grpchttp.Handler(guard, next).ServeHTTP(httptest.NewRecorder(), r)
		if (seen == nil) != (authorization == "") {
			t.Errorf("with %.9q the handler saw %v", authorization, seen)
		}
		if seen != nil && (len(seen) != 2 || seen.Get("Grpc-Metadata-Trace") != "1") {
			t.Errorf("the handler saw %v", seen)
		}
	}
}

// A refused body is not read, by handler or server.
func TestRefusedBodyIsNotRead(t *testing.T) {
	_, guard := newGuard(t, nil)
	for _, f := range forms {
		body := &countingReader{Reader: bytes.NewReader(make([]byte, 1<<20))}
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", create, body)
		r.Header.Set("Content-Type", f.contentType)
		auth0grpchttp.Handler(guard, new(ran)).ServeHTTP(w, r)
		if body.n > 0 || w.Header().Get("Connection") != "close" {
			t.Errorf("%s: %d bytes were read, %v", f.name, body.n, w.Header())
		}
	}
	// Over a connection: the server answers and closes though nothing of the body came.
	server := httptest.NewServer(auth0grpchttp.Handler(guard, new(ran)))
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	for _, length := range []string{"Content-Length: 1048576", "Transfer-Encoding: chunked"} {
		if response := raw(t, address, "POST "+create+" HTTP/1.1\r\nHost: a\r\n"+length+"\r\n\r\n"); response.StatusCode != 401 || !response.Close {
			t.Errorf("%s: %d, close %t", length, response.StatusCode, response.Close)
		}
	}
}

type countingReader struct {
	io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// A proof names the request of HTTP, and its nonce comes with the answer.
func TestDPoPOverHTTP(t *testing.T) {
	tenant, guard := newGuard(t, func(config *auth0grpc.Config) {
		config.DPoP = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{authority}, NonceKeys: [][]byte{make([]byte, 32)}}
	})
	key := auth0grpctest.NewDPoPKey()
	token := tenant.BoundToken(claims{"scope": "read:orders"}, key)
	mux := http.NewServeMux()
	mux.Handle("GET /v1/orders/{id}", auth0grpchttp.Handler(guard, new(ran), auth0grpchttp.FullMethod(get)))
	server := httptest.NewServer(http.StripPrefix("/api", mux))
	t.Cleanup(server.Close)
	call := func(htm, htu, nonce string) *http.Response {
		request, err := http.NewRequest("GET", server.URL+"/api/v1/orders/a%20b?page=2", nil)
		if err != nil {
			t.Fatal(err)
		}
		proof := claims{"htm": htm}
		if nonce != "" {
			proof["nonce"] = nonce
		}
		request.Header["Authorization"] = []string{"DPoP " + token}
		request.Header["Dpop"] = []string{key.Proof(htu, token, proof)}
		response, _ := do(t, request)
		return response
	}
	at := authority + "/api/v1/orders/a%20b"
	asked := call("GET", at, "")
	nonce := asked.Header.Get("DPoP-Nonce")
	if asked.StatusCode != 401 || nonce == "" {
		t.Fatalf("%d %v", asked.StatusCode, asked.Header)
	}
	for _, test := range []struct {
		htm, htu string
		status   int
	}{
		{"GET", at, 200}, {"POST", at, 401}, {"GET", authority + get, 401}, {"POST", authority + get, 401}, {"GET", authority + "/v1/orders/a%20b", 401},
	} {
		response := call(test.htm, test.htu, nonce)
		if response.StatusCode != test.status || test.status == 200 && response.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("%s %s: %d %v", test.htm, test.htu, response.StatusCode, response.Header)
		}
	}
}

func TestCertificates(t *testing.T) {
	right, other := auth0grpctest.NewCertificateAuthority().Client("right").Leaf, auth0grpctest.NewCertificateAuthority().Client("other").Leaf
	tenant, guard := newGuard(t, func(config *auth0grpc.Config) { config.MTLS.Mode = auth0grpc.BindingAllowed })
	token := tenant.CertificateBoundToken(claims{"scope": "read:orders"}, right)
	for name, test := range map[string]struct {
		connection *x509.Certificate
		function   func(*http.Request) (*x509.Certificate, error)
		status     int
	}{
		"connection":            {right, nil, 200},
		"other connection":      {other, nil, 401},
		"no TLS":                {nil, nil, 401},
		"TLS without one":       {nil, nil, 401},
		"function":              {other, func(*http.Request) (*x509.Certificate, error) { return right, nil }, 200},
		"function without one":  {right, func(*http.Request) (*x509.Certificate, error) { return nil, nil }, 401},
		"function with failure": {right, func(*http.Request) (*x509.Certificate, error) { return right, io.EOF }, 401},
	} {
		var options []auth0grpchttp.Option
		if test.function != nil {
			options = append(options, auth0grpchttp.ClientCertificate(test.function))
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", get, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if test.connection != nil {
			r.TLS = stateWith(test.connection)
		} else if name == "TLS without one" {
			r.TLS = new(tls.ConnectionState)
		}
		auth0grpchttp.Handler(guard, new(ran), options...).ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: %d, want %d", name, w.Code, test.status)
		}
	}
}

// A stream of a token that is revoked ends: its context does, and its reads fail.
func TestStreamEndsOnRevoke(t *testing.T) {
	tenant, guard := newGuard(t, nil)
	opened, ended := make(chan struct{}), make(chan error, 1)
	server := httptest.NewServer(auth0grpchttp.Handler(guard, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(opened)
		_, err := r.Body.Read(make([]byte, 1))
		<-r.Context().Done()
		ended <- err
	})))
	t.Cleanup(server.Close)
	body, send := io.Pipe()
	t.Cleanup(func() { send.Close() })
	request, err := http.NewRequest("POST", server.URL+get, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/connect+proto")
	request.Header.Set("Authorization", "Bearer "+tenant.Token(claims{"scope": "read:orders", "sub": "auth0|left"}))
	go func() {
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
	}()
	await(t, opened)
	if err := guard.Revoke(t.Context(), auth0grpc.Revocation{Issuer: tenant.Issuer(), Subject: "auth0|left"}); err != nil {
		t.Fatal(err)
	}
	if err := await(t, ended); err == nil {
		t.Error("the read succeeded")
	}
}

// await receives from a channel; the minute only stops a hang.
func await[T any](t *testing.T, ch <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-ch:
	case <-time.After(time.Minute):
		t.Fatal("nothing came")
	}
	return value
}

// For any request: if a handler ran, the table admits the method that it belongs to.
func FuzzHandler(f *testing.F) {
	tenant, guard := newGuard(f, nil)
	token := tenant.Token(claims{"scope": "read:orders"})
	allowed := map[string]bool{get: true, open: true}
	mux := http.NewServeMux() // as generated code of Connect registers its handlers
	reached := ""
	for _, method := range []string{get, create, open} {
		mux.HandleFunc(method, func(http.ResponseWriter, *http.Request) { reached = method })
	}
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { reached = "unknown" })
	door := auth0grpchttp.Handler(guard, mux)
	for _, target := range []string{get, create, open, "/", "//orders.v1.Orders/Create", "/orders.v1.Orders/Status/../Create", "/orders.v1.Orders/%43reate", "http://a" + create, "*"} {
		f.Add("POST", target, "Content-Type: application/grpc", true)
		f.Add("GET", target, "X-HTTP-Method-Override: POST\r\nOrigin: a", false)
	}
	f.Fuzz(func(t *testing.T, method, target, headers string, withToken bool) {
		text := method + " " + target + " HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n"
		if withToken {
			text += "Authorization: Bearer " + token + "\r\n"
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text + "\r\n")))
		if err != nil {
			t.Skip("not a request")
		}
		reached = ""
		door.ServeHTTP(httptest.NewRecorder(), r)
		if reached != "" && !allowed[reached] {
			t.Errorf("%q reached %s", text, reached)
		}
		if reached == get && !withToken {
			t.Errorf("%q reached %s without a token", text, reached)
		}
	})
}

// BenchmarkHandler measures a warm request beside Check alone.
func BenchmarkHandler(b *testing.B) {
	tenant, guard := newGuard(b, nil)
	authorization := []string{"Bearer " + tenant.Token(claims{"scope": "read:orders"})}
	b.Run("Check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := guard.Check(b.Context(), auth0grpc.Request{FullMethod: get, Authorization: authorization}); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, f := range forms[:4] {
		b.Run(f.name, func(b *testing.B) {
			calls := 0
			door := auth0grpchttp.Handler(guard, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ }))
			w, r := httptest.NewRecorder(), httptest.NewRequest(f.method, get, nil)
			r.Header["Authorization"] = authorization
			r.Header.Set("Content-Type", f.contentType)
			b.ReportAllocs()
			for b.Loop() {
				door.ServeHTTP(w, r)
			}
			if calls == 0 {
				b.Fatal("refused")
			}
		})
	}
}

// A door that sees no message does not start with a table that needs it.
func TestMessageRulesPanic(t *testing.T) {
	_, guard := newGuard(t, func(config *auth0grpc.Config) {
		config.Methods[get] = auth0grpc.Authenticated().Same("org_id", auth0grpc.ClaimOrganization)
		config.Methods["/orders.v1.Admin/*"] = auth0grpc.Authenticated().Same("org_id", auth0grpc.ClaimOrganization)
	})
	route := func(*http.Request) string { return "" }
	for name, test := range map[string]struct {
		option auth0grpchttp.Option
		panics bool
	}{
		"any path":       {auth0grpchttp.Preflight(nil), true},
		"function":       {auth0grpchttp.MethodFunc(nil), true},
		"method":         {auth0grpchttp.FullMethod(get), true},
		"wildcard":       {auth0grpchttp.FullMethod("/orders.v1.Admin/Drop"), true},
		"other method":   {auth0grpchttp.FullMethod(create), false},
		"other service":  {auth0grpchttp.FullMethod("/orders.v1.Other/Drop"), false},
		"longer name":    {auth0grpchttp.FullMethod(get + "All"), false},
		"deeper path":    {auth0grpchttp.FullMethod("/orders.v1.Admin/Drop/All"), false},
		"routes":         {auth0grpchttp.Routes(route, map[string]string{"a": create, "b": get}), true},
		"other routes":   {auth0grpchttp.Routes(route, map[string]string{"a": create}), false},
		"without routes": {auth0grpchttp.Routes(route, nil), true},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if panicked := recover(); (panicked != nil) != test.panics {
					t.Errorf("panic %v, want one: %t", panicked, test.panics)
				}
			}()
			auth0grpchttp.Handler(guard, new(ran), test.option)
		})
	}
}
