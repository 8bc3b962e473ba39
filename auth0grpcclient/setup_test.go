package auth0grpcclient_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// newTenant is a tenant with one application, "service", and a count of the
// token requests.
func newTenant(tb testing.TB) (*auth0grpctest.Tenant, *atomic.Int64) {
	tb.Helper()
	tenant := auth0grpctest.NewTenant(tb)
	tenant.AddClient("service", "s3cret", map[string][]string{auth0grpctest.Audience: {"read:msg", "write:msg"}})
	var requests atomic.Int64
	tenant.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/oauth/token" {
				requests.Add(1)
			}
			next.ServeHTTP(w, r)
		})
	})
	return tenant, &requests
}

// configFor is the Config of "service".
func configFor(tenant *auth0grpctest.Tenant) auth0grpcclient.Config {
	return auth0grpcclient.Config{
		Issuer:       tenant.Issuer(),
		ClientID:     "service",
		ClientSecret: "s3cret",
		Audience:     auth0grpctest.Audience,
		HTTPClient:   tenant.HTTPClient(),
	}
}

func newCredentials(tb testing.TB, config auth0grpcclient.Config) *auth0grpcclient.Credentials {
	tb.Helper()
	c, err := auth0grpcclient.New(config)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return c
}

// A gate is a server's interceptor: it records the metadata of calls, and decides on
// each of them.
type gate struct {
	mu     sync.Mutex
	calls  []metadata.MD
	decide func(ctx context.Context, md metadata.MD, method string) error
}

func (g *gate) pass(ctx context.Context, method string) error {
	md, _ := metadata.FromIncomingContext(ctx)
	g.mu.Lock()
	g.calls = append(g.calls, md)
	decide := g.decide
	g.mu.Unlock()
	if decide == nil {
		return nil
	}
	return decide(ctx, md, method)
}

// values returns the values of a key in the calls so far, "" for none.
func (g *gate) values(key string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, md := range g.calls {
		all = append(all, strings.Join(md.Get(key), " AND "))
	}
	return all
}

func (g *gate) options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			if err := g.pass(ctx, info.FullMethod); err != nil {
				return nil, err
			}
			return handler(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if err := g.pass(s.Context(), info.FullMethod); err != nil {
				return err
			}
			return handler(srv, s)
		}),
	}
}

// refuse is a refusal as package auth0grpc sends it at the opening of a call.
func refuse(reason string) error {
	return refuseWith(&errdetails.ErrorInfo{Reason: reason, Domain: "auth0grpc", Metadata: map[string]string{"beforeHandler": "true"}})
}

// end is the end of a call whose handler runs.
func end(reason string) error {
	return refuseWith(&errdetails.ErrorInfo{Reason: reason, Domain: "auth0grpc"})
}

func refuseWith(info *errdetails.ErrorInfo) error {
	s, err := status.New(codes.Unauthenticated, "auth0grpc: refused").WithDetails(info)
	if err != nil {
		panic(err)
	}
	return s.Err()
}

// service echoes, in all four shapes.
type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func (service) UnaryCall(_ context.Context, r *testgrpc.SimpleRequest) (*testgrpc.SimpleResponse, error) {
	return &testgrpc.SimpleResponse{Payload: r.GetPayload()}, nil
}

func (service) StreamingOutputCall(r *testgrpc.StreamingOutputCallRequest, s grpc.ServerStreamingServer[testgrpc.StreamingOutputCallResponse]) error {
	return s.Send(&testgrpc.StreamingOutputCallResponse{Payload: r.GetPayload()})
}

func (service) StreamingInputCall(s grpc.ClientStreamingServer[testgrpc.StreamingInputCallRequest, testgrpc.StreamingInputCallResponse]) error {
	size := 0
	for {
		r, err := s.Recv()
		if err == io.EOF {
			return s.SendAndClose(&testgrpc.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
		}
		if err != nil {
			return err
		}
		size += len(r.GetPayload().GetBody())
	}
}

func (service) FullDuplexCall(s grpc.BidiStreamingServer[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse]) error {
	for {
		r, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&testgrpc.StreamingOutputCallResponse{Payload: r.GetPayload()}); err != nil {
			return err
		}
		if string(r.GetPayload().GetBody()) == "end" { // as a server whose token watch has run out
			return end("TOKEN_EXPIRED")
		}
	}
}

// serve starts a server with TLS and returns its address and how to trust it.
func serve(tb testing.TB, options ...grpc.ServerOption) (string, *tls.Config) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	return listener.Addr().String(), serveOn(tb, listener, options...)
}

// serveOn is serve for a server that must know its address.
func serveOn(tb testing.TB, listener net.Listener, options ...grpc.ServerOption) *tls.Config {
	tb.Helper()
	authority := auth0grpctest.NewCertificateAuthority()
	start(tb, listener, append(options, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{authority.Server("127.0.0.1")},
		ClientAuth:   tls.RequestClientCert,
	})))...)
	return &tls.Config{RootCAs: authority.Pool()}
}

func start(tb testing.TB, listener net.Listener, options ...grpc.ServerOption) {
	tb.Helper()
	server := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(server, service{})
	go func() { _ = server.Serve(listener) }()
	tb.Cleanup(server.Stop)
}

func dial(tb testing.TB, target string, options ...grpc.DialOption) testgrpc.TestServiceClient {
	tb.Helper()
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		tb.Fatalf("NewClient: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return testgrpc.NewTestServiceClient(conn)
}

// connect serves behind g, with TLS, and returns a client with credentials.
func connect(tb testing.TB, g *gate, c *auth0grpcclient.Credentials) testgrpc.TestServiceClient {
	tb.Helper()
	target, trust := serve(tb, g.options()...)
	return dial(tb, target, append(c.DialOptions(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))...)
}

func payload(text string) *testgrpc.Payload { return &testgrpc.Payload{Body: []byte(text)} }

// shapes are calls of each shape that send "a" and expect it back.
var shapes = map[string]func(context.Context, testgrpc.TestServiceClient) (string, error){
	"unary": func(ctx context.Context, client testgrpc.TestServiceClient) (string, error) {
		r, err := client.UnaryCall(ctx, &testgrpc.SimpleRequest{Payload: payload("a")})
		return string(r.GetPayload().GetBody()), err
	},
	"server stream": func(ctx context.Context, client testgrpc.TestServiceClient) (string, error) {
		s, err := client.StreamingOutputCall(ctx, &testgrpc.StreamingOutputCallRequest{Payload: payload("a")})
		if err != nil {
			return "", err
		}
		r, err := s.Recv()
		if err == nil {
			_, err = s.Recv()
		}
		return string(r.GetPayload().GetBody()), notEOF(err)
	},
	"client stream": func(ctx context.Context, client testgrpc.TestServiceClient) (string, error) {
		s, err := client.StreamingInputCall(ctx)
		if err != nil {
			return "", err
		}
		if err := s.Send(&testgrpc.StreamingInputCallRequest{Payload: payload("a")}); err != nil {
			return "", err
		}
		r, err := s.CloseAndRecv()
		return strings.Repeat("a", int(r.GetAggregatedPayloadSize())), err
	},
	"bidi stream": func(ctx context.Context, client testgrpc.TestServiceClient) (string, error) {
		s, err := client.FullDuplexCall(ctx)
		if err != nil {
			return "", err
		}
		if err := s.Send(&testgrpc.StreamingOutputCallRequest{Payload: payload("a")}); err != nil {
			return "", err
		}
		r, err := s.Recv()
		if err == nil {
			_ = s.CloseSend()
			_, err = s.Recv()
		}
		return string(r.GetPayload().GetBody()), notEOF(err)
	},
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// claimsOf returns the claims of the JWT in an authorization value.
func claimsOf(tb testing.TB, authorization string) map[string]any {
	tb.Helper()
	_, token, _ := strings.Cut(authorization, " ")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		tb.Fatalf("no JWT: %q", authorization)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		tb.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		tb.Fatal(err)
	}
	return claims
}

// secure is a context as gRPC gives it to credentials on a TLS connection.
func secure(ctx context.Context) context.Context {
	return credentials.NewContextWithRequestInfo(ctx, credentials.RequestInfo{
		Method:   "/a.B/C",
		AuthInfo: credentials.TLSInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}},
	})
}

const uri = "https://api.example.com/a.B"

// roundTrip is an HTTP transport without a network, for tests on a fake clock.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is an HTTP response; the pairs are headers.
func answer(code int, body string, pairs ...string) *http.Response {
	header := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(pairs); i += 2 {
		header.Set(pairs[i], pairs[i+1])
	}
	return &http.Response{StatusCode: code, Status: http.StatusText(code), Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

// offline is a Config whose token endpoint is f.
func offline(f roundTrip) auth0grpcclient.Config {
	return auth0grpcclient.Config{
		Issuer:       "https://tenant.example/",
		ClientID:     "service",
		ClientSecret: "s3cret",
		Audience:     "https://api.example.com",
		HTTPClient:   &http.Client{Transport: f},
	}
}

// authorization asks for the metadata of a call and returns that value.
func authorization(ctx context.Context, c *auth0grpcclient.Credentials) (string, error) {
	md, err := c.GetRequestMetadata(secure(ctx), uri)
	return md["authorization"], err
}

const timeout = 2 * time.Minute

// listen serves and returns the address.
func listen(tb testing.TB, server *grpc.Server) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	tb.Cleanup(server.Stop)
	return listener.Addr().String()
}

func serverCreds(authority *auth0grpctest.CertificateAuthority) credentials.TransportCredentials {
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{authority.Server("127.0.0.1")}})
}

func clientTLS(authority *auth0grpctest.CertificateAuthority) *tls.Config {
	return &tls.Config{RootCAs: authority.Pool()}
}
