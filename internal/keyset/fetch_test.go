package keyset

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// site is an issuer on a real server. Handlers of its own take precedence.
type site struct {
	*httptest.Server
	mux *http.ServeMux
}

func newSite(t testing.TB, start func(http.Handler) *httptest.Server) *site {
	t.Helper()
	s := &site{mux: http.NewServeMux()}
	s.Server = start(s.mux)
	t.Cleanup(s.Close)
	return s
}

func (s *site) issuer() string { return s.URL + "/" }

func (s *site) serve(path, body string) {
	s.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
}

// discovery serves a discovery document that names jwksURI.
func (s *site) discovery(jwksURI string) {
	s.serve(wellKnown, fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, s.issuer(), jwksURI))
}

// load fetches once, within limit per request.
func load(t testing.TB, issuer string, client *http.Client, limit time.Duration) error {
	t.Helper()
	s := New(Config{Issuer: issuer, Client: client})
	s.source.limit = limit
	return s.Load(t.Context())
}

// An error names the class of the failure in fixed words. It repeats no text of an
// issuer, a proxy or a transport.
func TestFetchErrors(t *testing.T) {
	good := `{"keys":[` + ecJWK(t, "a") + `]}`
	jwks := func(body string) func(*testing.T, *site) {
		return func(_ *testing.T, s *site) {
			s.discovery(s.URL + "/jwks")
			s.serve("/jwks", body)
		}
	}
	handled := func(h http.HandlerFunc) func(*testing.T, *site) {
		return func(_ *testing.T, s *site) {
			s.discovery(s.URL + "/jwks")
			s.mux.HandleFunc("/jwks", h)
		}
	}
	discovered := func(body func(*site) string) func(*testing.T, *site) {
		return func(_ *testing.T, s *site) {
			s.serve(wellKnown, body(s))
			s.serve("/jwks", good)
		}
	}
	jwksAt := func(uri func(*site) string) func(*testing.T, *site) {
		return func(_ *testing.T, s *site) {
			s.discovery(uri(s))
			s.serve("/jwks", good)
		}
	}
	const elsewhere = "keyset: discovery names a jwks_uri that is not on the issuer's host"
	tests := []struct {
		name  string
		setUp func(*testing.T, *site)
		want  string // "" if keys are available; URL is the address of the site
	}{
		{"good", jwks(good), ""},
		{"no discovery", func(*testing.T, *site) {}, "keyset: discovery answered status 404"},
		{"discovery is HTML", discovered(func(*site) string { return "<html>secret" }), "keyset: discovery is not a JSON metadata document"},
		{"discovery with trailing data", discovered(func(s *site) string {
			return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q} x`, s.issuer(), s.URL+"/jwks")
		}), "keyset: discovery is not a JSON metadata document"},
		{"discovery names the issuer twice", discovered(func(s *site) string {
			return fmt.Sprintf(`{"issuer":"https://evil.example/","issuer":%q,"jwks_uri":%q}`, s.issuer(), s.URL+"/jwks")
		}), "keyset: discovery is not a JSON metadata document"},
		{"discovery in another case", discovered(func(s *site) string {
			return fmt.Sprintf(`{"Issuer":%q,"jwks_uri":%q}`, s.issuer(), s.URL+"/jwks")
		}), `keyset: discovery is of another issuer: it names "", configured is "URL/"`},
		{"another issuer", discovered(func(s *site) string {
			return fmt.Sprintf(`{"issuer":"https://evil.example/","jwks_uri":%q}`, s.URL+"/jwks")
		}), `keyset: discovery is of another issuer: it names "https://evil.example/", configured is "URL/"`},
		{"another issuer, long and with control characters", discovered(func(*site) string {
			return fmt.Sprintf(`{"issuer":"a\n\"\u001b%s"}`, strings.Repeat("é", 1<<10))
		}), `keyset: discovery is of another issuer: it names "a?\"?` + strings.Repeat("?", maxShownIssuer-4) + `...", configured is "URL/"`},
		{"issuer without its slash", discovered(func(s *site) string {
			return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, s.URL, s.URL+"/jwks")
		}), `keyset: discovery is of another issuer: it names "URL", configured is "URL/"; the configured issuer has a slash at its end, the document has none`},
		{"issuer with two slashes", discovered(func(s *site) string {
			return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, s.issuer()+"/", s.URL+"/jwks")
		}), `keyset: discovery is of another issuer: it names "URL//", configured is "URL/"; the configured issuer lacks the slash at its end`},

		// CVE-2026-32301, CVE-2025-52477: a document must not send us elsewhere.
		{"jwks_uri missing", jwksAt(func(*site) string { return "" }), elsewhere},
		{"jwks_uri on another host", jwksAt(func(*site) string { return "https://evil.example/jwks" }), elsewhere},
		{"jwks_uri on another port", jwksAt(func(*site) string { return "https://127.0.0.1:1/jwks" }), elsewhere},
		{"jwks_uri by http", jwksAt(func(s *site) string { return "http" + strings.TrimPrefix(s.URL, "https") + "/jwks" }), elsewhere},
		{"jwks_uri relative", jwksAt(func(*site) string { return "/jwks" }), elsewhere},
		{"jwks_uri of a file", jwksAt(func(*site) string { return "file:///etc/passwd" }), elsewhere},
		{"jwks_uri opaque", jwksAt(func(*site) string { return "https:jwks" }), elsewhere},
		{"jwks_uri with userinfo", jwksAt(func(s *site) string { return strings.Replace(s.URL, "//", "//u:p@", 1) + "/jwks" }), elsewhere},
		{"jwks_uri with a fragment", jwksAt(func(s *site) string { return s.URL + "/jwks#" }), elsewhere},
		{"jwks_uri not a URL", jwksAt(func(*site) string { return "https://[" }), elsewhere},
		{"jwks_uri with a query", jwksAt(func(s *site) string { return s.URL + "/jwks?v=2" }), ""},

		{"500", handled(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret", 500) }), "keyset: jwks answered status 500"},
		{"204", handled(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }), "keyset: jwks answered status 204"},
		{"truncated", handled(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, good[:20])
		}), "keyset: jwks request failed: connection broken off"},
		{"cut off before the header", handled(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "keyset: jwks request failed: connection broken off"},
		{"slow loris", func(t *testing.T, s *site) {
			held := make(chan struct{}) // not the request's context: its end could complete the body
			t.Cleanup(func() { close(held) })
			s.discovery(s.URL + "/jwks")
			s.mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"keys":`)
				_ = http.NewResponseController(w).Flush()
				<-held
			})
		}, "keyset: jwks request failed: timeout"},
		{"not JSON", jwks("secret"), "keyset: jwks is not a JSON Web Key Set"},
		{"no body", jwks(""), "keyset: jwks is not a JSON Web Key Set"},
		{"a list", jwks(`[]`), "keyset: jwks is not a JSON Web Key Set"},
		{"keys is no list", jwks(`{"keys":{}}`), "keyset: jwks is not a JSON Web Key Set"},
		{"keys twice", jwks(`{"keys":[],` + good[1:]), "keyset: jwks is not a JSON Web Key Set"},
		{"trailing data", jwks(good + `{"keys":[]}`), "keyset: jwks is not a JSON Web Key Set"},
		{"trailing space", jwks(good + "\n "), ""},
		{"empty set", jwks(`{"keys":[]}`), "keyset: jwks has no usable key"},
		{"no set", jwks(`{}`), "keyset: jwks has no usable key"},
		{"another case", jwks(strings.Replace(good, "keys", "Keys", 1)), "keyset: jwks has no usable key"},
		{"depth bomb", jwks(`{"x":` + strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000) + `,` + good[1:]), "keyset: jwks is not a JSON Web Key Set"},
		{"1 MiB", jwks(good + strings.Repeat(" ", maxBody-len(good))), ""},
		{"1 MiB and a byte", jwks(good + strings.Repeat(" ", maxBody-len(good)+1)), "keyset: jwks body exceeds 1 MiB"},
		{"5 MiB", jwks(good + strings.Repeat(" ", 5<<20)), "keyset: jwks body exceeds 1 MiB"},

		// CVE-2026-49478: the last host of a redirect chain chooses the keys.
		{"redirect within the host", func(_ *testing.T, s *site) {
			s.discovery(s.URL + "/1")
			s.mux.Handle("/1", http.RedirectHandler("/2", http.StatusFound))
			s.mux.Handle("/2", http.RedirectHandler("/3", http.StatusMovedPermanently))
			s.mux.Handle("/3", http.RedirectHandler(s.URL+"/jwks", http.StatusTemporaryRedirect))
			s.serve("/jwks", good)
		}, ""},
		{"one redirect too many", func(_ *testing.T, s *site) {
			s.discovery(s.URL + "/0")
			s.mux.Handle("/0", http.RedirectHandler("/1", http.StatusFound))
			s.mux.Handle("/1", http.RedirectHandler("/2", http.StatusFound))
			s.mux.Handle("/2", http.RedirectHandler("/3", http.StatusFound))
			s.mux.Handle("/3", http.RedirectHandler("/jwks", http.StatusFound))
			s.serve("/jwks", good)
		}, "keyset: jwks redirects too often"},
		{"redirect in a circle", func(_ *testing.T, s *site) {
			s.discovery(s.URL + "/jwks")
			s.mux.Handle("/jwks", http.RedirectHandler("/jwks", http.StatusFound))
		}, "keyset: jwks redirects too often"},
		{"redirect to another host", func(t *testing.T, s *site) {
			other := newSite(t, httptest.NewTLSServer)
			other.mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
			s.discovery(s.URL + "/jwks")
			s.mux.Handle("/jwks", http.RedirectHandler(other.URL+"/jwks", http.StatusFound))
		}, "keyset: jwks redirects to another host"},
		{"discovery redirects to another host", func(_ *testing.T, s *site) {
			s.mux.Handle(wellKnown, http.RedirectHandler("https://169.254.169.254/latest", http.StatusFound))
		}, "keyset: discovery redirects to another host"},
		{"redirect to http", handled(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/jwks", http.StatusFound)
		}), "keyset: jwks redirects to another host"},
		{"redirect with userinfo", handled(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://u:p@"+r.Host+"/jwks", http.StatusFound)
		}), "keyset: jwks redirects to another host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, httptest.NewTLSServer)
			tt.setUp(t, s)
			limit := requestLimit
			if strings.HasSuffix(tt.want, "timeout") {
				limit = time.Second / 2
			}
			got := ""
			if err := load(t, s.issuer(), s.Client(), limit); err != nil {
				got = err.Error()
			}
			if got = strings.ReplaceAll(got, s.URL, "URL"); got != tt.want {
				t.Errorf("Load = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTransportErrors(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"timeout", context.DeadlineExceeded, "timeout"},
		{"timeout of the system", &net.DNSError{Err: "secret", IsTimeout: true}, "timeout"},
		{"name", &net.DNSError{Err: "secret", IsNotFound: true}, "host not found"},
		{"refused", &net.OpError{Op: "dial", Err: errors.New("secret")}, "cannot connect"},
		{"reset", &net.OpError{Op: "read", Err: errors.New("secret")}, "connection broken off"},
		{"end", io.ErrUnexpectedEOF, "connection broken off"},
		{"no TLS", tls.RecordHeaderError{Msg: "secret"}, "TLS handshake failed"},
		{"TLS alert", tls.AlertError(40), "TLS handshake failed"},
		{"certificate", &tls.CertificateVerificationError{Err: errors.New("secret")}, "certificate not trusted"},
		{"other", errors.New("secret"), "transport error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, tt.err })}
			err := load(t, testIssuer, client, requestLimit)
			wantUnavailableClose(t, err, coolDown)
			if got, want := err.Error(), "keyset: discovery request failed: "+tt.want; got != want {
				t.Errorf("Load = %q, want %q", got, want)
			}
			if errors.Is(err, tt.err) {
				t.Error("the transport's error is wrapped")
			}
		})
	}
	t.Run("refused for real", func(t *testing.T) {
		s := newSite(t, httptest.NewServer)
		s.Close()
		err := load(t, s.issuer(), nil, requestLimit)
		if got, want := fmt.Sprint(err), "keyset: discovery request failed: cannot connect"; got != want {
			t.Errorf("Load = %q, want %q", got, want)
		}
	})
	t.Run("a certificate of nobody's", func(t *testing.T) {
		s := newSite(t, func(h http.Handler) *httptest.Server {
			s := httptest.NewUnstartedServer(h)
			s.Config.ErrorLog = quiet
			s.StartTLS()
			return s
		})
		err := load(t, s.issuer(), nil, requestLimit)
		if got, want := fmt.Sprint(err), "keyset: discovery request failed: certificate not trusted"; got != want {
			t.Errorf("Load = %q, want %q", got, want)
		}
	})
}

func TestIssuers(t *testing.T) {
	tests := []struct {
		issuer string
		want   string // the first address asked; "" if none is
	}{
		{"https://tenant.example/", "https://tenant.example/.well-known/openid-configuration"},
		{"https://tenant.example", "https://tenant.example/.well-known/openid-configuration"},
		{"https://tenant.example/realms/a/", "https://tenant.example/realms/a/.well-known/openid-configuration"},
		{"http://localhost:8080/", "http://localhost:8080/.well-known/openid-configuration"},
		{"http://[::1]:8080/", "http://[::1]:8080/.well-known/openid-configuration"},
		{"http://tenant.example/", ""},
		{"http://192.0.2.1/", ""},
		{"http://[2001:db8::1]:8080/", ""},
		{"http://127.0.0.1:8080/", "http://127.0.0.1:8080/.well-known/openid-configuration"},
		{"http://127.0.0.1.evil.example/", ""},
		{"https://u:p@tenant.example/", ""},
		{"https://tenant.example/?a", ""},
		{"https://tenant.example/#a", ""},
		{"https:///", ""},
		{"https://[", ""},
		{"file:///etc/", ""},
		{"ftp://localhost/", ""},
		{"", ""},
	}
	for _, tt := range tests {
		t.Run(tt.issuer, func(t *testing.T) {
			got := ""
			client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				got = req.URL.String()
				return nil, io.EOF
			})}
			if err := load(t, tt.issuer, client, requestLimit); err == nil || strings.Contains(err.Error(), "u:p") {
				t.Errorf("Load = %v, want an error without credentials", err)
			}
			if got != tt.want {
				t.Errorf("asked %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSameOrigin(t *testing.T) {
	tests := []struct {
		a, b string
		want bool
	}{
		{"https://a.example/", "https://a.example/x", true},
		{"https://a.example:443/", "https://A.example/", true},
		{"http://localhost:80/", "http://localhost/", true},
		{"https://a.example:444/", "https://a.example/", false},
		{"http://a.example:443/", "https://a.example/", false},
		{"https://b.a.example/", "https://a.example/", false},
		{"https:///", "https:///", false},
	}
	for _, tt := range tests {
		a, errA := url.Parse(tt.a)
		b, errB := url.Parse(tt.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if got := sameOrigin(a, b); got != tt.want {
			t.Errorf("sameOrigin(%q, %q) = %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

// The client belongs to the caller: the Set uses it without changing it, and leaves its
// cookies and connections alone.
func TestClient(t *testing.T) {
	p := &provider{keys: []string{ecJWK(t, "a")}}
	var requests []http.Header
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	home, err := url.Parse(testIssuer)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(home, []*http.Cookie{{Name: "session", Value: "secret"}})
	client := &http.Client{Jar: jar, Timeout: time.Minute, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		requests = append(requests, req.Header)
		return p.RoundTrip(req)
	})}
	before := *client
	s := New(Config{Issuer: testIssuer, Client: client})
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []http.Header{{"Accept": {"application/json"}}, {"Accept": {"application/json"}}}
	if diff := cmp.Diff(want, requests); diff != "" {
		t.Errorf("request headers differ (-want +got):\n%s", diff)
	}
	if client.CheckRedirect != nil || client.Jar != before.Jar || client.Timeout != before.Timeout {
		t.Error("the given client was changed")
	}
	if s.source.client.Timeout != time.Minute {
		t.Error("the given client's own time limit is lost")
	}
}

// The default client works, on http for loopback, and leaves no connection
// behind.
func TestOwnClient(t *testing.T) {
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	closed := make(chan struct{}, 8)
	s := newSite(t, func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.Config.ConnState = func(c net.Conn, state http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			open[c] = state != http.StateClosed
			if state == http.StateClosed {
				closed <- struct{}{}
			}
		}
		s.Start()
		return s
	})
	s.discovery(s.URL + "/jwks")
	s.serve("/jwks", `{"keys":[`+ecJWK(t, "a")+`]}`)
	if err := load(t, s.issuer(), nil, requestLimit); err != nil {
		t.Fatal(err)
	}
	<-closed
	mu.Lock()
	defer mu.Unlock()
	for c, isOpen := range open {
		if isOpen {
			t.Errorf("connection from %v is still open", c.RemoteAddr())
		}
	}
}

// A closingTransport counts bodies that are not closed, and calls of
// CloseIdleConnections.
type closingTransport struct {
	*provider
	open, closed int
}

func (c *closingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.provider.RoundTrip(req)
	if err == nil {
		c.open++
		resp.Body = closingBody{resp.Body, c}
	}
	return resp, err
}

func (c *closingTransport) CloseIdleConnections() { c.closed++ }

type closingBody struct {
	io.ReadCloser
	transport *closingTransport
}

func (b closingBody) Close() error {
	b.transport.open--
	return b.ReadCloser.Close()
}

// A body that stays open keeps its connection. The idle connections of a given client
// belong to the program.
func TestConnectionsOfAGivenClient(t *testing.T) {
	for name, respond := range map[string]func(*http.Request) (*http.Response, error){
		"keys": nil, "a status": answer(http.StatusServiceUnavailable, "", nil),
	} {
		transport := &closingTransport{provider: &provider{keys: []string{ecJWK(t, "a")}, respond: respond}}
		_ = load(t, testIssuer, &http.Client{Transport: transport}, requestLimit)
		if transport.open != 0 || transport.closed != 0 {
			t.Errorf("%s: %d bodies are open, and idle connections were closed %d times", name, transport.open, transport.closed)
		}
	}
}

// The default client belongs to the Set, so the Set closes only its own connections. A
// header beyond 64 KiB fails the request.
func TestOwnClientIsBounded(t *testing.T) {
	client, own := guardedClient(nil)
	if client.Transport == nil || client.Transport == http.DefaultTransport || !own {
		t.Errorf("transport = %v, own = %v; want one of its own", client.Transport, own)
	}
	for size, want := range map[int]string{60 << 10: "", 68 << 10: "keyset: jwks request failed: transport error"} {
		s := newSite(t, httptest.NewServer)
		s.discovery(s.URL + "/jwks")
		key := ecJWK(t, "a")
		s.mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Padding", strings.Repeat("x", size))
			_, _ = io.WriteString(w, `{"keys":[`+key+`]}`)
		})
		got := ""
		if err := load(t, s.issuer(), nil, requestLimit); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("a header of %d bytes: %q, want %q", size, got, want)
		}
	}
}

// Each request has five seconds, for every caller and every way to stall.
func TestRequestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := load(t, testIssuer, &http.Client{Transport: roundTripper(stall)}, requestLimit)
		if got, want := fmt.Sprint(err), "keyset: discovery request failed: timeout"; got != want {
			t.Errorf("Load = %q, want %q", got, want)
		}
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("took %v, want five seconds", got)
		}
	})
}

func TestDiscoveryIsAskedAgainAfterAFailure(t *testing.T) {
	run(t, "", func(b *bench) {
		b.key("a")
		b.clock.Advance(staleAfter)
		b.key("a")
		b.wantDiscoveries(b, 1)
		b.publish() // the address may have moved
		b.clock.Advance(staleAfter)
		b.key("a")
		b.wantDiscoveries(b, 1)
		b.publish(ecJWK(b, "c"))
		b.clock.Advance(coolDown)
		b.wantUnknown("a-made-up-one")
		b.wantDiscoveries(b, 2)
		b.wantFetches(b, 4)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
