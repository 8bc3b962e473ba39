package orders

import (
	"context"

	"github.com/auth0grpc/auth0grpc"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// A Catalog has the handlers of orders.v1.Catalog, which are open to everyone.
type Catalog struct {
	ordersv1.UnimplementedCatalogServer
}

// ListProducts does not use the identity of the caller.
func (Catalog) ListProducts(context.Context, *ordersv1.ListProductsRequest) (*ordersv1.ListProductsResponse, error) {
	return &ordersv1.ListProductsResponse{Products: []string{"coffee", "tea"}}, nil
}

// GetPrice serves callers with and without a token, as its row, Optional, lets
// both pass.
func (Catalog) GetPrice(ctx context.Context, _ *ordersv1.GetPriceRequest) (*ordersv1.GetPriceResponse, error) {
	if _, ok := auth0grpc.TokenFromContext(ctx); ok {
		return &ordersv1.GetPriceResponse{Cents: 400}, nil
	}
	return &ordersv1.GetPriceResponse{Cents: 450}, nil
}
