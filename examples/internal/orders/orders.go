// Package orders is the service that the examples protect: orders in memory, each with
// an owner.
//
// The handlers show the remaining checks behind the interceptor. It has decided that
// the caller may use a method; only the handler knows the owner of an order. Scopes are
// not ownership.
package orders

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// A Server has the handlers of orders.v1.Orders. It is safe for concurrent use.
type Server struct {
	ordersv1.UnimplementedOrdersServer

	mu     sync.Mutex
	orders map[string]*ordersv1.Order // by id; an order never changes
	lastID int
}

// NewServer returns a server that has an order of each of the owners, with the
// ids "1", "2" and so on.
func NewServer(owners ...string) *Server {
	s := &Server{orders: map[string]*ordersv1.Order{}}
	for _, owner := range owners {
		s.add(owner, "tea")
	}
	return s
}

// GetOrder returns an order of the caller's.
func (s *Server) GetOrder(ctx context.Context, request *ordersv1.GetOrderRequest) (*ordersv1.Order, error) {
	token, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	return s.find(token, request.GetId())
}

// CreateOrder makes an order that belongs to the caller. The owner comes from
// the verified token and never from the request.
func (s *Server) CreateOrder(ctx context.Context, request *ordersv1.CreateOrderRequest) (*ordersv1.Order, error) {
	token, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	return s.add(token.Subject(), request.GetProduct()), nil
}

// DeleteOrder deletes an order of the caller's, or of anybody's for an admin.
func (s *Server) DeleteOrder(ctx context.Context, request *ordersv1.DeleteOrderRequest) (*ordersv1.DeleteOrderResponse, error) {
	token, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	order, err := s.find(token, request.GetId())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.orders, order.GetId())
	return &ordersv1.DeleteOrderResponse{}, nil
}

// ListOrders sends the caller's orders.
func (s *Server) ListOrders(_ *ordersv1.ListOrdersRequest, stream grpc.ServerStreamingServer[ordersv1.Order]) error {
	token, err := caller(stream.Context())
	if err != nil {
		return err
	}
	for _, order := range s.all() {
		if !mayUse(token, order) {
			continue
		}
		if err := stream.Send(order); err != nil {
			return err
		}
	}
	return nil
}

// ImportOrders makes an order of each message, all of them the caller's.
func (s *Server) ImportOrders(stream grpc.ClientStreamingServer[ordersv1.CreateOrderRequest, ordersv1.ImportOrdersResponse]) error {
	token, err := caller(stream.Context())
	if err != nil {
		return err
	}
	for imported := int32(0); ; imported++ {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&ordersv1.ImportOrdersResponse{Imported: imported})
		}
		if err != nil {
			return err
		}
		s.add(token.Subject(), request.GetProduct())
	}
}

// WatchOrders answers each id with the order, if it is the caller's.
func (s *Server) WatchOrders(stream grpc.BidiStreamingServer[ordersv1.GetOrderRequest, ordersv1.Order]) error {
	token, err := caller(stream.Context())
	if err != nil {
		return err
	}
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		order, err := s.find(token, request.GetId())
		if err != nil {
			return err
		}
		if err := stream.Send(order); err != nil {
			return err
		}
	}
}

// caller returns the verified token of the call. No row of the table lets a call
// without one come here; should a row be loosened one day, this says so instead
// of serving orders without an owner.
func caller(ctx context.Context) (*auth0grpc.Token, error) {
	token, ok := auth0grpc.TokenFromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Internal, "the method needs a caller, and its row lets calls without one pass")
	}
	return token, nil
}

// mayUse is the ownership check.
func mayUse(token *auth0grpc.Token, order *ordersv1.Order) bool {
	return order.GetOwner() == token.Subject() || token.HasScope("admin")
}

// find returns an order that the token's subject may use. For another's order
// the answer is the same as for an unknown id, so that no caller learns which
// ids are taken.
func (s *Server) find(token *auth0grpc.Token, id string) (*ordersv1.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	order, ok := s.orders[id]
	if !ok || !mayUse(token, order) {
		return nil, status.Error(codes.NotFound, "you have no such order")
	}
	return order, nil
}

func (s *Server) add(owner, product string) *ordersv1.Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	order := &ordersv1.Order{Id: strconv.Itoa(s.lastID), Owner: owner, Product: product}
	s.orders[order.GetId()] = order
	return order
}

func (s *Server) all() []*ordersv1.Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.orders), func(a, b *ordersv1.Order) int {
		return cmp.Or(cmp.Compare(len(a.GetId()), len(b.GetId())), cmp.Compare(a.GetId(), b.GetId()))
	})
}
