package orders_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/examples/internal/orders"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

func TestGetOrder(t *testing.T) {
	server := orders.NewServer("auth0|alice", "auth0|bob")
	rows := []struct {
		name   string
		claims map[string]any
		id     string
		want   codes.Code
	}{
		{"one's own", map[string]any{"sub": "auth0|alice"}, "1", codes.OK},
		{"another's", map[string]any{"sub": "auth0|alice"}, "2", codes.NotFound},
		{"another's with the scope", map[string]any{"sub": "auth0|alice", "scope": "read:orders"}, "2", codes.NotFound},
		{"another's as an admin", map[string]any{"sub": "auth0|alice", "scope": "admin"}, "2", codes.OK},
		{"nobody's", map[string]any{"sub": "auth0|alice"}, "3", codes.NotFound},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			ctx := auth0grpctest.ContextWithToken(t.Context(), row.claims)
			_, err := server.GetOrder(ctx, &ordersv1.GetOrderRequest{Id: row.id})
			if got := status.Code(err); got != row.want {
				t.Errorf("GetOrder(%s): %v, want %v", row.id, err, row.want)
			}
		})
	}
}

func TestOrdersWithoutCaller(t *testing.T) {
	server := orders.NewServer("")
	for name, call := range map[string]func(context.Context) error{
		"GetOrder": func(ctx context.Context) error {
			_, err := server.GetOrder(ctx, &ordersv1.GetOrderRequest{Id: "1"})
			return err
		},
		"CreateOrder": func(ctx context.Context) error {
			_, err := server.CreateOrder(ctx, &ordersv1.CreateOrderRequest{})
			return err
		},
		"DeleteOrder": func(ctx context.Context) error {
			_, err := server.DeleteOrder(ctx, &ordersv1.DeleteOrderRequest{Id: "1"})
			return err
		},
	} {
		if err := call(t.Context()); status.Code(err) != codes.Internal {
			t.Errorf("%s without a token: %v, want %v", name, err, codes.Internal)
		}
	}
}

func TestOrderOwner(t *testing.T) {
	server := orders.NewServer()
	alice := auth0grpctest.ContextWithToken(t.Context(), map[string]any{"sub": "auth0|alice"})
	got, err := server.CreateOrder(alice, &ordersv1.CreateOrderRequest{Product: "coffee"})
	if err != nil {
		t.Fatal(err)
	}
	want := &ordersv1.Order{Id: "1", Owner: "auth0|alice", Product: "coffee"}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}

	bob := auth0grpctest.ContextWithToken(t.Context(), map[string]any{"sub": "auth0|bob"})
	if _, err := server.DeleteOrder(bob, &ordersv1.DeleteOrderRequest{Id: "1"}); status.Code(err) != codes.NotFound {
		t.Errorf("DeleteOrder of another's order: %v, want %v", err, codes.NotFound)
	}
	if _, err := server.DeleteOrder(alice, &ordersv1.DeleteOrderRequest{Id: "1"}); err != nil {
		t.Errorf("DeleteOrder of one's own: %v", err)
	}
}

func TestGetPrice(t *testing.T) {
	price := func(ctx context.Context) int32 {
		t.Helper()
		response, err := orders.Catalog{}.GetPrice(ctx, &ordersv1.GetPriceRequest{Product: "tea"})
		if err != nil {
			t.Fatal(err)
		}
		return response.GetCents()
	}
	everyone, member := price(t.Context()), price(auth0grpctest.ContextWithToken(t.Context(), nil))
	if member >= everyone {
		t.Errorf("price is %d with a token and %d without, want less with", member, everyone)
	}
}
