package auth0grpcfga_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcfga"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A tenant and OpenFGA run in this process. Ann reads her own order, and not the order of
// her neighbour.
func TestExampleOrders(t *testing.T) {
	engine := newEngine(t)
	engine.write(t, auth0grpcfga.User("user", "auth0|ann"), "owner", "order:7")
	engine.write(t, auth0grpcfga.User("user", "auth0|bob"), "owner", "order:8")
	checker, err := auth0grpcfga.NewChecker(auth0grpcfga.Config{Conn: engine.conn, Store: engine.store, Model: engine.model})
	if err != nil {
		t.Fatal(err)
	}
	tenant := auth0grpctest.NewTenant(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		// The request is a google.protobuf.StringValue with the number of the order.
		Methods: map[string]auth0grpc.Rule{
			"/orders.Orders/Get": auth0grpc.Scopes("read:orders").Relation("viewer", "order:{value}").HideExistence(),
		},
		RelationChecker: checker,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "orders.Orders", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Get",
		Handler: func(_ any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			request := new(wrapperspb.StringValue)
			if err := decode(request); err != nil {
				return nil, err
			}
			return interceptor(ctx, request, &grpc.UnaryServerInfo{FullMethod: "/orders.Orders/Get"}, func(context.Context, any) (any, error) {
				return wrapperspb.String("the order"), nil
			})
		},
	}}}, nil)
	conn := auth0grpctest.Connect(t, server, tenant.Token(map[string]any{"sub": "auth0|ann", "scope": "read:orders"}))
	for order, want := range map[string]auth0grpc.Reason{
		"7": "", "8": auth0grpc.ReasonNoRelation, "9": auth0grpc.ReasonNoRelation, "7#viewer": auth0grpc.ReasonNoRelation,
	} {
		err := conn.Invoke(metadata.AppendToOutgoingContext(t.Context()), "/orders.Orders/Get", wrapperspb.String(order), new(wrapperspb.StringValue))
		if reason, _ := auth0grpc.ReasonFromError(err); reason != want {
			t.Errorf("order %s: %v, want %q", order, err, want)
		}
	}
}

const exampleID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"

// The checker asks Auth0 FGA over HTTP.
func ExampleNewChecker() {
	checker, err := auth0grpcfga.NewChecker(auth0grpcfga.Config{
		URL:   "https://api.us1.fga.dev",
		Store: exampleID, Model: exampleID,
		Token: func(context.Context) (string, error) { return "token of the server", nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	// An Interceptor asks the checker; here the caller has left.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = checker.CheckRelation(ctx, auth0grpc.RelationQuery{Token: tokenOf(nil), Relation: "viewer", Object: "order:7"})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output: true
}

// Tuples name their users as the checker does.
func ExampleUser() {
	fmt.Println(auth0grpcfga.User("user", "auth0|ann"))
	fmt.Println(auth0grpcfga.User("user", "samlp|corp|a:b"))
	fmt.Println(auth0grpcfga.User("user", "machine@clients"))
	// Output:
	// user:auth0|ann
	// user:samlp|corp|a%3Ab
	// user:machine%40clients
}

// The checker asks a decision point of AuthZEN.
func ExampleNewAuthZENChecker() {
	_, err := auth0grpcfga.NewAuthZENChecker(auth0grpcfga.AuthZENConfig{URL: "https://pdp.example.com"})
	fmt.Println(err)
	// Output: <nil>
}
