package auth0grpc_test

import (
	"context"
	"crypto/x509"
	"log"
	"maps"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/tap"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const (
	allMethods = "/grpc.testing.TestService/*"
	unaryCall  = testgrpc.TestService_UnaryCall_FullMethodName
)

// today is the time of tenant and server until a test sets their clocks.
var today = time.Date(2031, time.March, 14, 15, 9, 26, 0, time.UTC)

// A clock stands still until a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// claims are the members of a token's payload that a test cares about.
type claims = map[string]any

// with returns a copy of base with the members of more laid over it.
func with(base, more claims) claims {
	all := maps.Clone(base)
	maps.Copy(all, more)
	return all
}

// A fixture is a tenant, an interceptor, and a server that it protects, reached by
// several transports, with an interceptor outside ours. Options set it up.
type fixture struct {
	tenant *auth0grpctest.Tenant
	clock  *clock
	guard  *auth0grpc.Interceptor
	server *grpc.Server
	conns  map[string]*grpc.ClientConn // by transport

	timers    *timers       // of open streams; nil for timers of real time
	decisions recorder      // with recordDecisions
	provider  *provider     // with failingProvider
	orders    *ordersServer // with serveOrders
	refusals  atomic.Int64  // of the tap, with tapped

	key          *auth0grpctest.DPoPKey // with acceptDPoP
	bound, plain string                 // tokens, bound to key and to nothing
	mtls         *mtls                  // with serveTLS

	transports    []string
	register      func(*grpc.Server)
	serverOptions []grpc.ServerOption // between the interceptors outside ours and ours

	mu    sync.Mutex
	outer error // of the last call, as the interceptor outside ours saw it
}

// An option changes the set-up of a fixture and the configuration of its interceptor. A
// function without a name is an option too.
type option func(*fixture, *auth0grpc.Config)

// configured returns change as an option. change may be nil.
func configured(change func(*auth0grpc.Config)) option {
	return func(_ *fixture, config *auth0grpc.Config) {
		if change != nil {
			change(config)
		}
	}
}

// transports limits a fixture to some transports. Without a name it serves none.
func transports(names ...string) option {
	return func(f *fixture, _ *auth0grpc.Config) { f.transports = names }
}

// withService replaces the test service.
func withService(service testgrpc.TestServiceServer) option {
	return func(f *fixture, _ *auth0grpc.Config) {
		f.register = func(server *grpc.Server) { testgrpc.RegisterTestServiceServer(server, service) }
	}
}

// serverOptions adds options that precede the options of the interceptor.
func serverOptions(options ...grpc.ServerOption) option {
	return func(f *fixture, _ *auth0grpc.Config) { f.serverOptions = append(f.serverOptions, options...) }
}

// tapped adds the tap to the server, and counts its refusals.
func tapped(f *fixture, _ *auth0grpc.Config) {
	f.serverOptions = append(f.serverOptions, grpc.InTapHandle(func(ctx context.Context, info *tap.Info) (context.Context, error) {
		ctx, err := f.guard.TapHandle()(ctx, info)
		if err != nil {
			f.refusals.Add(1)
		}
		return ctx, err
	}))
}

// recordDecisions sets the hook of decisions to the recorder of the fixture.
func recordDecisions(f *fixture, config *auth0grpc.Config) {
	config.OnDecision = f.decisions.OnDecision
}

// useTimers makes open streams expire by the clock of the fixture.
func useTimers(f *fixture, _ *auth0grpc.Config) { f.timers = &timers{clock: f.clock} }

// newTenant returns a tenant and the clock by which it lives.
func newTenant(tb testing.TB) (*auth0grpctest.Tenant, *clock) {
	tb.Helper()
	tenant, now := auth0grpctest.NewTenant(tb), &clock{now: today}
	tenant.SetNow(now.Now)
	return tenant, now
}

// configFor returns a sound configuration whose every method wants read:orders.
func configFor(tenant *auth0grpctest.Tenant, now *clock) auth0grpc.Config {
	return auth0grpc.Config{
		Issuers:    []string{tenant.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		Methods:    map[string]auth0grpc.Rule{allMethods: auth0grpc.Scopes("read:orders")},
		HTTPClient: tenant.HTTPClient(),
		Now:        now.Now,
	}
}

// mustNew returns the interceptor for a configuration that must be sound.
func mustNew(tb testing.TB, config auth0grpc.Config) *auth0grpc.Interceptor {
	tb.Helper()
	guard, err := auth0grpc.New(config)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return guard
}

// newFixture returns a fixture with a new tenant. An option may be nil.
func newFixture(tb testing.TB, options ...option) *fixture {
	tb.Helper()
	tenant, now := newTenant(tb)
	return newFixtureOf(tb, tenant, now, options...)
}

// newFixtureOf returns a fixture with a given tenant. It serves over every transport
// unless an option says otherwise.
func newFixtureOf(tb testing.TB, tenant *auth0grpctest.Tenant, now *clock, options ...option) *fixture {
	tb.Helper()
	f := &fixture{tenant: tenant, clock: now, conns: map[string]*grpc.ClientConn{}, transports: everyTransport}
	withService(service{})(f, nil)
	config := configFor(tenant, now)
	for _, apply := range options {
		if apply != nil {
			apply(f, &config)
		}
	}
	f.guard = mustNew(tb, config)
	if f.timers != nil {
		f.guard.SetTimer(f.timers.start)
	}
	f.server = f.newServer()
	for _, transport := range f.transports {
		f.conns[transport] = f.dial(tb, transport)
	}
	f.plain = f.token(nil)
	if f.key != nil {
		f.bound = f.boundToken(nil)
	}
	if f.mtls != nil {
		f.listenTLS(tb)
	}
	return f
}

// newServer returns a server of the fixture's service behind the interceptor.
func (f *fixture) newServer(options ...grpc.ServerOption) *grpc.Server {
	options = append(options, grpc.ChainUnaryInterceptor(f.observeUnary), grpc.ChainStreamInterceptor(f.observeStream))
	options = append(options, f.serverOptions...)
	server := grpc.NewServer(append(options, f.guard.ServerOptions()...)...)
	f.register(server)
	return server
}

// everyTransport has the transports of a fixture without TLS.
var everyTransport = []string{"bufconn", "tcp", "ServeHTTP"}

func (f *fixture) dial(tb testing.TB, transport string) *grpc.ClientConn {
	tb.Helper()
	switch transport {
	case "bufconn":
		return auth0grpctest.Connect(tb, f.server, "")
	case "tcp":
		return f.dialTCP(tb)
	case "ServeHTTP":
		return f.dialHTTP(tb)
	default:
		tb.Fatalf("no transport %q", transport)
		return nil
	}
}

func (f *fixture) dialTCP(tb testing.TB) *grpc.ClientConn {
	tb.Helper()
	return dial(tb, listen(tb, f.server), insecure.NewCredentials())
}

// listen serves on a local port and returns its address.
func listen(tb testing.TB, server *grpc.Server) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	go server.Serve(listener)
	tb.Cleanup(server.Stop)
	return listener.Addr().String()
}

// trailerCheck fails the test if net/http logs a text that a caller could cause again and
// again.
type trailerCheck struct{ testing.TB }

func (c trailerCheck) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "trailer") {
		c.Errorf("net/http: %s", line)
	}
	return len(line), nil
}

// dialHTTP serves gRPC from net/http's HTTP/2 server, another transport with
// code of its own (CVE-2026-33190, CVE-2026-35579).
func (f *fixture) dialHTTP(tb testing.TB) *grpc.ClientConn {
	tb.Helper()
	server := httptest.NewUnstartedServer(f.server)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(trailerCheck{tb}, "", 0)
	server.StartTLS()
	tb.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return dial(tb, server.Listener.Addr().String(), credentials.NewClientTLSFromCert(roots, ""))
}

func dial(tb testing.TB, address string, transport credentials.TransportCredentials) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

func (f *fixture) observeUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	response, err := handler(ctx, req)
	f.sawError(err)
	return response, err
}

func (f *fixture) observeStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	err := handler(srv, stream)
	f.sawError(err)
	return err
}

func (f *fixture) sawError(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outer = err
}

// token is a token of the fixture's tenant with the scope read:orders.
func (f *fixture) token(more claims) string {
	return f.tenant.Token(with(claims{"scope": "read:orders"}, more))
}

// claims are the claims of a good token, for tenant.Sign and SignRaw.
func (f *fixture) claims(more claims) claims {
	now := f.clock.Now().Unix()
	all := with(claims{
		"iss": f.tenant.Issuer(), "sub": auth0grpctest.Subject, "aud": auth0grpctest.Audience,
		"azp": auth0grpctest.ClientID, "iat": now, "exp": now + 3600, "scope": "read:orders",
	}, more)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

// bearer is the authorization value for a token.
func bearer(token string) []string { return []string{"Bearer " + token} }
