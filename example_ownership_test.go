package auth0grpc_test

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// getOrder calls a method whose request is given in the text form of protobuf, and prints
// the outcome.
func getOrder(guard *auth0grpc.Interceptor, token, text string, handler grpc.UnaryHandler) {
	request := newOrder()
	if err := prototext.Unmarshal([]byte(text), request); err != nil {
		panic(err)
	}
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token))
	_, err := guard.UnaryServerInterceptor()(ctx, request, &grpc.UnaryServerInfo{FullMethod: "/orders.v1.Orders/Get"}, handler)
	if reason, refused := auth0grpc.ReasonFromError(err); refused {
		fmt.Println(reason)
		return
	}
	fmt.Println("OK")
}

func answerOrder(context.Context, any) (any, error) { return newOrder(), nil }

// guardOrders returns a tenant and an interceptor with one row.
func guardOrders(rule auth0grpc.Rule, checker auth0grpc.RelationChecker) (*auth0grpctest.Tenant, *auth0grpc.Interceptor, func()) {
	tenant, guard, _, stop := embedded(func(config *auth0grpc.Config) {
		config.Methods = map[string]auth0grpc.Rule{"/orders.v1.Orders/Get": rule}
		config.RelationChecker = checker
	})
	return tenant, guard, stop
}

// The caller reads only the orders of its own organization.
func ExampleRule_Same() {
	tenant, guard, stop := guardOrders(auth0grpc.Scopes("read:orders").Same("org_id", auth0grpc.ClaimOrganization), nil)
	defer stop()
	token := tenant.Token(map[string]any{"scope": "read:orders", "org_id": "org_a"})
	getOrder(guard, token, `org_id: "org_a" order_id: "7"`, answerOrder)
	getOrder(guard, token, `org_id: "org_b" order_id: "8"`, answerOrder)
	// Output:
	// OK
	// NOT_OWNER
}

// The tenant is in a claim that an Auth0 Action adds.
func ExampleNamedClaim() {
	rule := auth0grpc.Scopes("read:orders").Same("customer.id", auth0grpc.NamedClaim("https://example.com/customer"))
	tenant, guard, stop := guardOrders(rule, nil)
	defer stop()
	token := tenant.Token(map[string]any{"scope": "read:orders", "https://example.com/customer": "c-1"})
	getOrder(guard, token, `customer {id: "c-1"}`, answerOrder)
	getOrder(guard, token, `customer {id: "c-2"}`, answerOrder)
	// Output:
	// OK
	// NOT_OWNER
}

// A function answers which orders a subject may view. Package auth0grpcfga asks OpenFGA.
func ExampleRule_Relation() {
	viewers := map[string]string{"order:7": "auth0|ann"}
	checker := auth0grpc.RelationCheckerFunc(func(_ context.Context, query auth0grpc.RelationQuery) (bool, error) {
		return query.Relation == "viewer" && viewers[query.Object] == query.Token.Subject(), nil
	})
	tenant, guard, stop := guardOrders(auth0grpc.Scopes("read:orders").Relation("viewer", "order:{order_id}"), checker)
	defer stop()
	token := tenant.Token(map[string]any{"scope": "read:orders", "sub": "auth0|ann"})
	getOrder(guard, token, `order_id: "7"`, answerOrder)
	getOrder(guard, token, `order_id: "8"`, answerOrder)
	// Output:
	// OK
	// NO_RELATION
}

// The rules of a table fit the requests of the service.
func ExampleRule_Same_fields() {
	table := map[string]auth0grpc.Rule{
		"/orders.v1.Orders/Get":  auth0grpc.Scopes("read:orders").Same("org_id", auth0grpc.ClaimOrganization),
		"/orders.v1.Orders/List": auth0grpc.Scopes("read:orders").Same("customer.id", auth0grpc.ClaimSubject),
		"/orders.v1.Orders/Upload": auth0grpc.Scopes("write:orders").
			Same("by_name", auth0grpc.NamedClaim("https://example.com/tenant")),
		"/orders.v1.Orders/Watch": auth0grpc.Scopes("read:orders").Relation("viewer", "order:{order_id}"),
	}
	service := new(ordersServer).desc()
	server := grpc.NewServer()
	server.RegisterService(service, nil)
	fmt.Println(auth0grpc.CheckMethods(table, server.GetServiceInfo()))
	// Output: <nil>
}

// A caller cannot tell an order of another party from one that does not exist.
func ExampleRule_HideExistence() {
	rule := auth0grpc.Scopes("read:orders").Relation("viewer", "order:{order_id}").HideExistence()
	fmt.Println(rule)
	// Output: read:orders, relation(viewer, order:{order_id}), existence hidden
}

// A handler asks about an object that the request does not name.
func ExampleAllowed() {
	checker := auth0grpc.RelationCheckerFunc(func(_ context.Context, query auth0grpc.RelationQuery) (bool, error) {
		return query.Object == "invoice:1", nil
	})
	tenant, guard, stop := guardOrders(auth0grpc.Scopes("read:orders"), checker)
	defer stop()
	token := tenant.Token(map[string]any{"scope": "read:orders"})
	getOrder(guard, token, `order_id: "7"`, func(ctx context.Context, _ any) (any, error) {
		for _, id := range []string{"1", "2"} {
			allowed, err := auth0grpc.Allowed(ctx, "reader", "invoice:"+id)
			if err != nil {
				return nil, err // no answer: Unavailable
			}
			fmt.Println(id, allowed)
		}
		return newOrder(), nil
	})
	// Output:
	// 1 true
	// 2 false
	// OK
}

// A program that has no engine asks its own tables.
func ExampleRelationCheckerFunc_CheckRelation() {
	var checker auth0grpc.RelationChecker = auth0grpc.RelationCheckerFunc(func(_ context.Context, query auth0grpc.RelationQuery) (bool, error) {
		return query.Object == "order:7", nil
	})
	fmt.Println(checker.CheckRelation(context.Background(), auth0grpc.RelationQuery{Relation: "viewer", Object: "order:7"}))
	// Output: true <nil>
}

// A program compares its table with services that it knows from descriptors alone.
func ExampleDescriptors() {
	table := map[string]auth0grpc.Rule{"/orders.v1.Orders/*": auth0grpc.Authenticated().Same("orgid", auth0grpc.ClaimOrganization)}
	services := map[string]grpc.ServiceInfo{"orders.v1.Orders": {Methods: []grpc.MethodInfo{{Name: "Get"}}}}
	fmt.Println(auth0grpc.CheckMethods(table, services, auth0grpc.Descriptors(protoregistry.GlobalFiles)))
	// Output:
	// auth0grpc: /orders.v1.Orders/Get (authenticated, same(orgid = organization)): orders.v1.OrderRequest has no field orgid; did you mean org_id?
}
