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
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

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

// A fixture is a tenant and a server that it protects, reached by three
// transports, with an interceptor on each side of ours.
type fixture struct {
	tenant *auth0grpctest.Tenant
	clock  *clock
	guard  *auth0grpc.Interceptor
	server *grpc.Server
	conns  map[string]*grpc.ClientConn // by transport

	mu    sync.Mutex
	outer error // of the last call, as the interceptor outside ours saw it
}

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

// newFixture serves over every transport. change may be nil.
func newFixture(tb testing.TB, change func(*fixture, *auth0grpc.Config)) *fixture {
	tb.Helper()
	f := &fixture{conns: map[string]*grpc.ClientConn{}}
	f.tenant, f.clock = newTenant(tb)
	config := configFor(f.tenant, f.clock)
	if change != nil {
		change(f, &config)
	}
	f.guard = mustNew(tb, config)
	options := []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(f.observeUnary),
		grpc.ChainStreamInterceptor(f.observeStream),
	}
	f.server = grpc.NewServer(append(options, f.guard.ServerOptions()...)...)
	testgrpc.RegisterTestServiceServer(f.server, service{})
	f.conns["bufconn"] = auth0grpctest.Connect(tb, f.server, "")
	f.conns["tcp"] = f.dialTCP(tb)
	f.conns["ServeHTTP"] = f.dialHTTP(tb)
	return f
}

func (f *fixture) dialTCP(tb testing.TB) *grpc.ClientConn {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	go f.server.Serve(listener)
	tb.Cleanup(f.server.Stop)
	return dial(tb, listener.Addr().String(), insecure.NewCredentials())
}

// complaints fails the test if net/http logs a text that a caller could cause again and
// again.
type complaints struct{ testing.TB }

func (c complaints) Write(line []byte) (int, error) {
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
	server.Config.ErrorLog = log.New(complaints{tb}, "", 0)
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
