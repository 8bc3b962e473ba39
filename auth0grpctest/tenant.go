package auth0grpctest

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Audience is the API identifier that tokens carry in "aud" unless a test asks
// for another. The tenant knows this API without any registration.
const Audience = "https://api.example.com"

// ClientID is the application that tokens name (in "azp", "client_id", or the
// "aud" of ID and logout tokens) unless a test asks for another. It is not
// registered at the token endpoint: see [Tenant.AddClient].
const ClientID = "jYtqWn3pVxZ0cKd81RbLhG5sEuAo2MfT"

// Subject is the user that tokens speak for unless a test asks for another.
const Subject = "auth0|64b1f0c2a9d35e7718c4e6ab"

// A Tenant is an Auth0 tenant that listens on a loopback port of this process.
//
// All methods may be called concurrently. Requests that are under way while a
// method changes the tenant see it either before or after that change.
type Tenant struct {
	server *httptest.Server
	issuer string
	keys   *keyRing
	events *EventLog

	down             atomic.Bool
	keyFetches       atomic.Int64
	discoveryFetches atomic.Int64
	closing          sync.Once

	mu           sync.Mutex // guards all below
	clock        func() time.Time
	lifetime     time.Duration            // of access tokens
	apiLifetimes map[string]time.Duration // by audience, in place of lifetime
	clients      map[string]*client
	devices      map[string]*device // by device code
	autoApprove  int
	handler      http.Handler    // the routes, behind the handlers of Intercept
	dpopNonce    string          // "" if none is required
	seen         map[string]bool // ids of proofs and assertions
}

// NewTenant starts a tenant that closes itself when the test and its subtests
// have ended. It fails the test at once if the tenant cannot start.
func NewTenant(tb testing.TB) *Tenant {
	tb.Helper()
	t, err := StartTenant()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(t.Close)
	return t
}

// StartTenant starts a tenant for a program that is not a test. The caller must
// call [Tenant.Close]. It returns an error if it cannot listen on 127.0.0.1
// or generate keys.
func StartTenant() (*Tenant, error) { return StartTenantOnPort(0) }

// StartTenantOnPort is [StartTenant] with a chosen port of 127.0.0.1, for programs
// whose configuration names the issuer before the tenant starts. 0 chooses a free
// port. The error is that the port is in use, or as for StartTenant.
func StartTenantOnPort(port int) (*Tenant, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("auth0grpctest: listen: %w", err)
	}
	keys, err := newKeyRing()
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	t := &Tenant{
		issuer:       "https://" + listener.Addr().String() + "/",
		keys:         keys,
		clock:        time.Now,
		lifetime:     defaultTokenLifetime,
		apiLifetimes: map[string]time.Duration{},
		clients:      make(map[string]*client),
		devices:      make(map[string]*device),
		seen:         make(map[string]bool),
	}
	t.events = newEventLog(t)
	t.handler = t.newRoutes()
	t.server = &httptest.Server{
		Listener: listener,
		// The key is a new one: httptest's own is public. A client certificate is
		// requested and not verified: which one is a client's is known from its
		// registration.
		TLS: &tls.Config{Certificates: []tls.Certificate{tenantCertificate()}, ClientAuth: tls.RequestClientCert},
		Config: &http.Server{
			Handler: http.HandlerFunc(t.serve),
			// A client that does not trust the certificate is a normal
			// event in a test; net/http would print each to stderr.
			ErrorLog: log.New(io.Discard, "", 0),
		},
	}
	t.server.StartTLS()
	return t, nil
}

// Close stops the tenant and waits for the requests under way. Calls after the
// first do nothing. The tenant still signs tokens afterwards, but serves no
// keys for them.
func (t *Tenant) Close() {
	t.closing.Do(func() {
		t.events.close()
		t.server.Close()
		t.keys.release()
	})
}

// Issuer returns the tenant's issuer, "https://127.0.0.1:PORT/". The slash at
// the end is part of it, as in Auth0.
func (t *Tenant) Issuer() string { return t.issuer }

// TokenURL returns the address of the token endpoint, "oauth/token" under the
// issuer, which is also the "htu" of proofs for it.
func (t *Tenant) TokenURL() string { return t.endpoint(tokenPath) }

// HTTPClient returns a client that trusts the certificate of all tenants of this
// process. It is the same client on every call and has no timeout.
func (t *Tenant) HTTPClient() *http.Client { return t.server.Client() }

// CertificatePEM returns the certificate of the tenant's https server in PEM, for
// clients in other processes: as a file for SSL_CERT_FILE, or for the -ca of a command.
// It is self-signed, has a new key in each process, and holds for 127.0.0.1, ::1 and localhost.
func (t *Tenant) CertificatePEM() []byte { return encodeCertificate(t.server.Certificate()) }

// SetDown starts (true) or ends (false) an outage. During an outage every
// endpoint answers 503. Connections are still accepted, tokens still signed.
func (t *Tenant) SetDown(down bool) { t.down.Store(down) }

// KeyFetches returns how many requests the key set has had, those refused
// during an outage included.
func (t *Tenant) KeyFetches() int { return int(t.keyFetches.Load()) }

// DiscoveryFetches returns how many requests the two addresses of the discovery
// document have had together, those refused during an outage included.
func (t *Tenant) DiscoveryFetches() int { return int(t.discoveryFetches.Load()) }

// SetNow sets the clock from which tokens take "iat" and "exp" and by which
// device codes expire. The default, also for nil, is time.Now. The tenant calls
// it from several goroutines. It does not reach the interceptor under test: give
// auth0grpc.Config.Now the same clock, or tokens may be from its future.
func (t *Tenant) SetNow(now func() time.Time) {
	if now == nil {
		now = time.Now
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock = now
}

// now reads the clock outside the lock, so that the clock may use the tenant.
func (t *Tenant) now() time.Time {
	t.mu.Lock()
	clock := t.clock
	t.mu.Unlock()
	return clock()
}
