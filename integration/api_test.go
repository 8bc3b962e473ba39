package integration

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/integration/ordersv1"
)

// methods is the table of the API: a row for each kind of rule.
func methods() map[string]auth0grpc.Rule {
	return map[string]auth0grpc.Rule{
		ordersv1.Orders_GetStatus_FullMethodName:         auth0grpc.Public(),
		ordersv1.Orders_WhoAmI_FullMethodName:            auth0grpc.Authenticated(),
		ordersv1.Orders_GetOrder_FullMethodName:          auth0grpc.Scopes("read:orders"),
		ordersv1.Orders_WatchOrders_FullMethodName:       auth0grpc.Scopes("read:orders"),
		ordersv1.Orders_CreateOrder_FullMethodName:       auth0grpc.Scopes("write:orders"),
		ordersv1.Orders_ImportOrders_FullMethodName:      auth0grpc.Scopes("write:orders"),
		ordersv1.Orders_Exchange_FullMethodName:          auth0grpc.AnyScope("read:orders", "write:orders"),
		ordersv1.Orders_RefundOrder_FullMethodName:       auth0grpc.AllOf(auth0grpc.Scopes("read:orders"), auth0grpc.Permissions("refund:orders")),
		ordersv1.Orders_CloseBooks_FullMethodName:        auth0grpc.Clients("machine"),
		ordersv1.Orders_ListPartnerOrders_FullMethodName: auth0grpc.Organizations(tenant.Organization),
		// PurgeOrders has no row.
	}
}

// orders is the service behind the table.
type orders struct {
	ordersv1.UnimplementedOrdersServer
}

func (orders) GetStatus(context.Context, *ordersv1.GetStatusRequest) (*ordersv1.GetStatusResponse, error) {
	return &ordersv1.GetStatusResponse{Status: "open"}, nil
}

func (orders) WhoAmI(ctx context.Context, _ *ordersv1.WhoAmIRequest) (*ordersv1.WhoAmIResponse, error) {
	token, ok := auth0grpc.TokenFromContext(ctx)
	if !ok {
		return nil, errors.New("no token in the context")
	}
	return &ordersv1.WhoAmIResponse{
		Issuer: token.Issuer(), Subject: token.Subject(), ClientId: token.ClientID(), Scopes: token.Scopes(),
	}, nil
}

func (orders) GetOrder(_ context.Context, request *ordersv1.GetOrderRequest) (*ordersv1.Order, error) {
	return &ordersv1.Order{Id: request.Id, Item: "tea"}, nil
}

func (orders) WatchOrders(request *ordersv1.WatchOrdersRequest, stream grpc.ServerStreamingServer[ordersv1.Order]) error {
	for i := range request.Count {
		if err := stream.Send(&ordersv1.Order{Id: fmt.Sprint(i)}); err != nil {
			return err
		}
	}
	if request.Count < 0 { // no end
		<-stream.Context().Done()
		return context.Cause(stream.Context())
	}
	return nil
}

func (orders) CreateOrder(_ context.Context, order *ordersv1.Order) (*ordersv1.Order, error) {
	return order, nil
}

func (orders) ImportOrders(stream grpc.ClientStreamingServer[ordersv1.Order, ordersv1.ImportOrdersResponse]) error {
	response := &ordersv1.ImportOrdersResponse{}
	for {
		_, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(response)
		}
		if err != nil {
			return err
		}
		response.Count++
	}
}

func (orders) Exchange(stream grpc.BidiStreamingServer[ordersv1.Order, ordersv1.Order]) error {
	for {
		order, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(order); err != nil {
			return err
		}
	}
}

func (orders) RefundOrder(_ context.Context, request *ordersv1.RefundOrderRequest) (*ordersv1.Order, error) {
	return &ordersv1.Order{Id: request.Id}, nil
}

func (orders) CloseBooks(context.Context, *ordersv1.CloseBooksRequest) (*ordersv1.CloseBooksResponse, error) {
	return &ordersv1.CloseBooksResponse{}, nil
}

func (orders) ListPartnerOrders(context.Context, *ordersv1.ListPartnerOrdersRequest) (*ordersv1.ListPartnerOrdersResponse, error) {
	return &ordersv1.ListPartnerOrdersResponse{}, nil
}

func (orders) PurgeOrders(context.Context, *ordersv1.PurgeOrdersRequest) (*ordersv1.PurgeOrdersResponse, error) {
	return &ordersv1.PurgeOrdersResponse{}, nil
}

// A server is a gRPC server on TCP with TLS that this library protects.
type server struct {
	*authority
	guard   *auth0grpc.Interceptor
	grpc    *grpc.Server
	address string // 127.0.0.1:PORT
}

// newGuard returns an Interceptor for the table. Bound tokens are accepted; proofs
// name the authority of the server.
func newGuard(t testing.TB, a *authority, address string, issuers []string, change func(*auth0grpc.Config)) *auth0grpc.Interceptor {
	t.Helper()
	config := auth0grpc.Config{
		Issuers:    issuers,
		Audiences:  []string{tenant.Audience, tenant.RFC9068Audience},
		Methods:    methods(),
		HTTPClient: a.httpClient(),
		DPoP:       auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://" + address}},
		MTLS:       auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed},
	}
	if change != nil {
		change(&config)
	}
	guard, err := auth0grpc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

// serve starts the API for tokens of the issuers, with the extra services registered.
func serve(t testing.TB, a *authority, issuers []string, change func(*auth0grpc.Config), register ...func(*grpc.Server)) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{authority: a, address: listener.Addr().String()}
	s.guard = newGuard(t, a, s.address, issuers, change)
	s.grpc = newGRPCServer(s.guard, a.server)
	for _, r := range register {
		r(s.grpc)
	}
	go func() { _ = s.grpc.Serve(listener) }() // ends when the server is stopped
	t.Cleanup(s.grpc.Stop)
	return s
}

// newGRPCServer asks clients for a certificate and verifies none: the token says
// which one is wanted.
func newGRPCServer(guard *auth0grpc.Interceptor, certificate tls.Certificate) *grpc.Server {
	secure := credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert})
	s := grpc.NewServer(append(guard.ServerOptions(), grpc.Creds(secure))...)
	ordersv1.RegisterOrdersServer(s, orders{})
	return s
}

// dial returns a client of the server, with a certificate if one is given.
func (s *server) dial(t testing.TB, certificates ...tls.Certificate) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(s.address, grpc.WithTransportCredentials(credentials.NewTLS(s.trusting(certificates...))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// An invocation calls one method of the API and returns the error of the call.
type invocation struct {
	method string
	call   func(context.Context, ordersv1.OrdersClient) error
}

// invocations are all methods of the API, with a call that does all that the
// method does.
var invocations = []invocation{
	{"GetStatus", func(ctx context.Context, c ordersv1.OrdersClient) error {
		_, err := c.GetStatus(ctx, &ordersv1.GetStatusRequest{})
		return err
	}},
	{"WhoAmI", func(ctx context.Context, c ordersv1.OrdersClient) error {
		_, err := c.WhoAmI(ctx, &ordersv1.WhoAmIRequest{})
		return err
	}},
	{"GetOrder", func(ctx context.Context, c ordersv1.OrdersClient) error {
		_, err := c.GetOrder(ctx, &ordersv1.GetOrderRequest{Id: "1"})
		return err
	}},
	{"WatchOrders", func(ctx context.Context, c ordersv1.OrdersClient) error {
		stream, err := c.WatchOrders(ctx, &ordersv1.WatchOrdersRequest{Count: 3})
		if err != nil {
			return err
		}
		return drain(stream, 3)
	}},
	{"CreateOrder", func(ctx context.Context, c ordersv1.OrdersClient) error {
		_, err := c.CreateOrder(ctx, &ordersv1.Order{Id: "1"})
		return err
	}},
	{"ImportOrders", func(ctx context.Context, c ordersv1.OrdersClient) error {
		stream, err := c.ImportOrders(ctx)
		if err != nil {
			return err
		}
		for range 3 {
			_ = stream.Send(&ordersv1.Order{}) // CloseAndRecv returns the error
		}
		_, err = stream.CloseAndRecv()
		return err
	}},
	{"Exchange", func(ctx context.Context, c ordersv1.OrdersClient) error {
		stream, err := c.Exchange(ctx)
		if err != nil {
			return err
		}
		for range 3 {
			_ = stream.Send(&ordersv1.Order{}) // drain returns the error
		}
		_ = stream.CloseSend()
		return drain(stream, 3)
	}},
	{"RefundOrder", func(ctx context.Context, c ordersv1.OrdersClient) error {
		_, err := c.RefundOrder(ctx, &ordersv1.RefundOrderRequest{})
		return err
	}},
	{"CloseBooks", func(ctx context.Context, c ordersv1.OrdersClient) error {
		_, err := c.CloseBooks(ctx, &ordersv1.CloseBooksRequest{})
		return err
	}},
	{"ListPartnerOrders", func(ctx context.Context, c ordersv1.OrdersClient) error {
		_, err := c.ListPartnerOrders(ctx, &ordersv1.ListPartnerOrdersRequest{})
		return err
	}},
	{"PurgeOrders", func(ctx context.Context, c ordersv1.OrdersClient) error {
		_, err := c.PurgeOrders(ctx, &ordersv1.PurgeOrdersRequest{})
		return err
	}},
}

// drain reads a stream to its end and wants so many messages.
func drain(stream interface {
	Recv() (*ordersv1.Order, error)
}, want int) error {
	for got := 0; ; got++ {
		switch _, err := stream.Recv(); {
		case err == io.EOF && got == want:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%d messages, want %d", got, want)
		case err != nil:
			return err
		}
	}
}

// withToken returns a context for a call with a token, or without one for "".
func withToken(token string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return ctx, cancel
}
