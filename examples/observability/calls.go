package main

import (
	"context"
	"time"

	"google.golang.org/grpc/metadata"

	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// as returns the context of a call with a token of these claims.
func (s *shop) as(ctx context.Context, claims map[string]any) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.tenant.Token(claims))
}

// outage makes a call while the issuer is down, and returns when it is up and
// its keys are there.
func (s *shop) outage(ctx context.Context) error {
	s.tenant.SetDown(true)
	_, _ = s.client.GetOrder(s.as(ctx, nil), &ordersv1.GetOrderRequest{Id: "1"})
	s.tenant.SetDown(false)
	return s.guard.Ready(ctx)
}

// calls makes the calls of one round: most are good, as in production. The metrics show
// their results.
func (s *shop) calls(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	get := &ordersv1.GetOrderRequest{Id: "1"}
	minute := time.Now().Truncate(time.Minute) // one token a minute
	reader := s.as(ctx, map[string]any{"scope": "read:orders", "iat": minute, "exp": minute.Add(time.Hour)})
	for range 20 {
		_, _ = s.client.GetOrder(reader, get)
	}
	if stream, err := s.client.ListOrders(reader, &ordersv1.ListOrdersRequest{}); err == nil {
		for err == nil {
			_, err = stream.Recv()
		}
	}
	_, _ = s.client.GetOrder(ctx, get)                                                                         // no token
	_, _ = s.client.GetOrder(s.as(ctx, map[string]any{"scope": "write:orders"}), get)                          // the wrong scope
	_, _ = s.client.GetOrder(s.as(ctx, map[string]any{"exp": minute}), get)                                    // expired
	_, _ = s.client.CreateOrder(reader, &ordersv1.CreateOrderRequest{})                                        // let through by report-only
	_, _ = s.client.DeleteOrder(reader, &ordersv1.DeleteOrderRequest{Id: "1"})                                 // has no row
	_, _ = s.client.GetOrder(s.as(ctx, map[string]any{"scope": "read:orders", "aud": "another.example"}), get) // another API's
}
