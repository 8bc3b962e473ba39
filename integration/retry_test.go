package integration

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// A relay is a server whose RefundOrder returns the refusal of a server behind it.
type relay struct {
	ordersv1.UnimplementedOrdersServer
	refunds atomic.Int32
}

func (*relay) GetOrder(context.Context, *ordersv1.GetOrderRequest) (*ordersv1.Order, error) {
	return &ordersv1.Order{Item: "tea"}, nil
}

func (r *relay) RefundOrder(context.Context, *ordersv1.RefundOrderRequest) (*ordersv1.Order, error) {
	r.refunds.Add(1)
	s, err := status.New(codes.Unauthenticated, "refused").WithDetails(&errdetails.ErrorInfo{
		Reason: string(auth0grpc.ReasonTokenExpired), Domain: auth0grpc.ErrorDomain,
		Metadata: map[string]string{auth0grpc.BeforeHandlerKey: "true"},
	})
	if err != nil {
		return nil, err
	}
	return nil, s.Err()
}

// The TypeScript of docs/clients.md compiles in strict mode, repeats a unary call whose
// token has expired, and repeats neither a call that a handler ended nor a stream.
func TestConnectRecipe(t *testing.T) {
	node := needNode(t)
	recipe, err := os.ReadFile("node/retry.mts")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```ts\n"+string(recipe)+"```") {
		t.Error("docs/clients.md does not have the text of node/retry.mts")
	}
	built, err := filepath.Abs("node/node_modules/.recipe") // there the imports resolve
	if err != nil {
		t.Fatal(err)
	}
	compile := exec.Command(node, "node/node_modules/typescript/bin/tsc", "--strict", "--skipLibCheck",
		"--module", "nodenext", "--target", "es2022", "--outDir", built, "node/retry.mts")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("tsc: %v\n%s", err, out)
	}

	a := newAuthority(t)
	tenant := auth0grpctest.NewTenant(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{
			ordersv1.Orders_RefundOrder_FullMethodName: auth0grpc.Public(),
			"/orders.v1.Orders/*":                      auth0grpc.Authenticated(),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(guard.ServerOptions(), grpc.Creds(credentials.NewServerTLSFromCert(&a.server)))...)
	r := &relay{}
	ordersv1.RegisterOrdersServer(server, r)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	command := exec.Command(node, "node/retry_check.mjs", filepath.Join(built, "retry.mjs"), "https://"+listener.Addr().String(),
		writeDescriptors(t, a), tenant.Token(map[string]any{"exp": time.Now().Add(-time.Minute)}), tenant.Token(nil))
	command.Env = append(os.Environ(), "CA="+a.path("ca.pem"), "NO_PROXY=127.0.0.1")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got map[string]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"renewed": "ok, 2 tokens",
		"ended":   "16 unmarked, 1 tokens",
		"stream":  "16 TOKEN_EXPIRED, 1 tokens",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if n := r.refunds.Load(); n != 1 {
		t.Errorf("the handler ran %d times, want once", n)
	}
	summarize(t, "Node.js: the recipe repeats a call only if no handler ran")
}
