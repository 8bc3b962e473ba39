package integration

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	jwtgrpc "github.com/auth0/go-jwt-middleware/v3/integrations/grpc"
	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
	"github.com/auth0grpc/auth0grpc/internal/corpus"
)

// A judge accepts or refuses an authorization value, and says with which status.
type judge struct {
	name  string
	judge func(value string) (accepted bool, status string, err error)
}

// newJudges returns this library and Auth0's own middlewares, each in the
// configuration of its quickstart, for one issuer and audience. The first is
// this library.
func newJudges(t *testing.T, m *corpus.Mint) []judge {
	t.Helper()
	return []judge{
		{"auth0grpc", judgeByGRPC(t, newOurs(t, m))},
		{"express-oauth2-jwt-bearer", judgeByHTTP(t, startExpress(t, m))},
		{"go-jwt-middleware", judgeByGRPC(t, newGoJWT(t, m))},
	}
}

func newOurs(t *testing.T, m *corpus.Mint) grpc.UnaryServerInterceptor {
	t.Helper()
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{m.Issuer()},
		Audiences:  []string{auth0grpctest.Audience},
		Methods:    map[string]auth0grpc.Rule{ordersv1.Orders_GetOrder_FullMethodName: auth0grpc.Authenticated()},
		HTTPClient: m.HTTPClient(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return guard.UnaryServerInterceptor()
}

func newGoJWT(t *testing.T, m *corpus.Mint) grpc.UnaryServerInterceptor {
	t.Helper()
	issuer, err := url.Parse(m.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	provider, err := jwks.NewCachingProvider(jwks.WithIssuerURL(issuer), jwks.WithCustomClient(m.HTTPClient()))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := validator.New(
		validator.WithKeyFunc(provider.KeyFunc),
		validator.WithAlgorithm(validator.RS256),
		validator.WithIssuer(m.Issuer()),
		validator.WithAudience(auth0grpctest.Audience),
	)
	if err != nil {
		t.Fatal(err)
	}
	middleware, err := jwtgrpc.New(jwtgrpc.WithValidator(tokens))
	if err != nil {
		t.Fatal(err)
	}
	return middleware.UnaryServerInterceptor()
}

// judgeByGRPC serves the API behind an interceptor and calls it.
func judgeByGRPC(t *testing.T, interceptor grpc.UnaryServerInterceptor) func(string) (bool, string, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// The limit exceeds the limit of grpc-go's clients, so the interceptor alone decides.
	server := grpc.NewServer(grpc.UnaryInterceptor(interceptor), grpc.MaxHeaderListSize(1<<20))
	ordersv1.RegisterOrdersServer(server, orders{})
	go func() { _ = server.Serve(listener) }() // ends when the server is stopped
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func(value string) (bool, string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", value)
		_, err := ordersv1.NewOrdersClient(conn).GetOrder(ctx, &ordersv1.GetOrderRequest{})
		switch code := status.Code(err); code {
		case codes.OK:
			return true, "OK", nil
		case codes.Unauthenticated, codes.InvalidArgument, codes.Internal:
			return false, code.String(), nil
		default:
			return false, "", err
		}
	}
}

// startExpress starts Auth0's middleware for Express and returns its address.
func startExpress(t *testing.T, m *corpus.Mint) string {
	t.Helper()
	command := exec.Command(needNode(t), "node/express.mjs", m.Issuer(), auth0grpctest.Audience)
	command.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+certificateOf(t, m), "NO_PROXY=127.0.0.1")
	return "http://127.0.0.1:" + start(t, command).ready + "/"
}

// certificateOf writes the certificate of the tenant to a file.
func certificateOf(t *testing.T, m *corpus.Mint) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tenant.pem")
	if err := os.WriteFile(path, m.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func judgeByHTTP(t *testing.T, address string) func(string) (bool, string, error) {
	t.Helper()
	return func(value string) (bool, string, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			return false, "", err
		}
		request.Header.Set("Authorization", value)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, "", err
		}
		_ = response.Body.Close()
		switch response.StatusCode {
		case http.StatusOK:
			return true, "200", nil
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestHeaderFieldsTooLarge, http.StatusInternalServerError:
			return false, fmt.Sprint(response.StatusCode), nil
		}
		return false, "", fmt.Errorf("status %s", response.Status)
	}
}
