package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/auth"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/examples/doors/doorsv1"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

const (
	get   = doorsv1.Orders_GetOrder_FullMethodName
	list  = doorsv1.Orders_ListOrders_FullMethodName
	watch = doorsv1.Orders_WatchOrders_FullMethodName
)

// counted is the service behind the doors. It counts the handlers that run.
type counted struct {
	doorsv1.UnimplementedOrdersServer
	ran   atomic.Int64
	ended chan struct{} // nil, or gets a value when WatchOrders returns
}

func (c *counted) GetOrder(_ context.Context, request *ordersv1.GetOrderRequest) (*ordersv1.Order, error) {
	c.ran.Add(1)
	return &ordersv1.Order{Id: request.GetId()}, nil
}

func (c *counted) ListOrders(_ *ordersv1.ListOrdersRequest, stream grpc.ServerStreamingServer[ordersv1.Order]) error {
	c.ran.Add(1)
	return stream.Send(&ordersv1.Order{Id: "1"})
}

func (c *counted) WatchOrders(stream grpc.BidiStreamingServer[ordersv1.GetOrderRequest, ordersv1.Order]) error {
	c.ran.Add(1)
	if c.ended != nil {
		defer func() { c.ended <- struct{}{} }()
	}
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&ordersv1.Order{Id: request.GetId()}); err != nil {
			return err
		}
	}
}

// A fixture is the program's handler over TLS, and clients with and without a
// certificate.
type fixture struct {
	guard       *auth0grpc.Interceptor
	service     counted
	decided     atomic.Pointer[string] // the method of the last decision
	decisions   atomic.Int64
	url         string
	nonce       string // of the server, for proofs
	certificate *x509.Certificate
	http        map[bool]*http.Client     // by: with the certificate
	served      map[bool]*grpc.ClientConn // to ServeHTTP
	native      map[bool]*grpc.ClientConn // to a listener of grpc-go
	authFunc    map[bool]*grpc.ClientConn // to a server with go-grpc-middleware
}

func newFixture(t testing.TB, config auth0grpc.Config) *fixture {
	t.Helper()
	config.Methods, config.Logger = methods(), slog.New(slog.DiscardHandler)
	f := &fixture{http: map[bool]*http.Client{}, served: map[bool]*grpc.ClientConn{}, native: map[bool]*grpc.ClientConn{}, authFunc: map[bool]*grpc.ClientConn{}}
	config.OnDecision = func(_ context.Context, d auth0grpc.Decision) {
		if d.Outcome != auth0grpc.OutcomeEnded {
			f.decided.Store(&d.FullMethod)
			f.decisions.Add(1)
		}
	}
	guard, err := auth0grpc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	f.guard = guard
	handler, err := newHandler(guard, &f.service)
	if err != nil {
		t.Fatal(err)
	}
	front := http.NewServeMux()
	front.Handle("/", handler)
	server := httptest.NewUnstartedServer(front)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	f.url = server.URL

	native, err := newGRPC(guard, &f.service, grpc.Creds(credentials.NewTLS(server.TLS)))
	if err != nil {
		t.Fatal(err)
	}
	nativeAddr := serveGRPC(t, native)
	middleware := grpc.NewServer(grpc.Creds(credentials.NewTLS(server.TLS)), grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return nil }),
		grpc.UnaryInterceptor(auth.UnaryServerInterceptor(guard.AuthFunc())), grpc.StreamInterceptor(auth.StreamServerInterceptor(guard.AuthFunc())))
	doorsv1.RegisterOrdersServer(middleware, &f.service)
	middlewareAddr := serveGRPC(t, middleware)

	client := auth0grpctest.NewCertificateAuthority().Client("orders-client")
	f.certificate = client.Leaf
	for _, with := range []bool{false, true} {
		transport := server.Client().Transport.(*http.Transport).Clone()
		if with {
			transport.TLSClientConfig.Certificates = []tls.Certificate{client}
		}
		t.Cleanup(transport.CloseIdleConnections)
		f.http[with] = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		creds := credentials.NewTLS(transport.TLSClientConfig)
		f.served[with] = dial(t, server.Listener.Addr(), creds)
		f.native[with] = dial(t, nativeAddr, creds)
		f.authFunc[with] = dial(t, middlewareAddr, creds)
	}
	// A gateway that calls a gRPC server, in another process or over memory. It forwards
	// no proof and no certificate.
	gateway := runtime.NewServeMux()
	if err := doorsv1.RegisterOrdersHandler(t.Context(), gateway, f.native[false]); err != nil {
		t.Fatal(err)
	}
	front.Handle("/gateway/", http.StripPrefix("/gateway", gateway))
	return f
}

// serveGRPC serves on a listener of grpc-go, and returns its address.
func serveGRPC(t testing.TB, server *grpc.Server) net.Addr {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener) // ends with Stop
	t.Cleanup(server.Stop)
	return listener.Addr()
}

func dial(t testing.TB, addr net.Addr, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr.String(), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A presented credential has the headers and the certificate of a request.
type presented struct {
	authorization, dpop []string
	withCertificate     bool
}

// A cell is one shape of call at one door.
type cell struct {
	door, method string
	htm, path    string // the HTTP request that a DPoP proof names
	call         func(t *testing.T, f *fixture, c *cell, p presented) answer
	contentType  string // of HTTP calls
	body         []byte
	query        string
	noHandler    bool // an admitted call does not reach the service
	hidden       bool // the door answers 404 without a decision
	bearerOnly   bool // the door forwards no proof and no certificate
}

func (c *cell) String() string { return c.door + c.method[strings.LastIndexByte(c.method, '/'):] }

// cells returns every door with every shape of call that it has.
func cells() (all []*cell) {
	message, _ := proto.Marshal(&ordersv1.GetOrderRequest{Id: "1"})
	const text = `{"id":"1"}`
	add := func(c cell, shapes ...string) {
		for _, method := range shapes {
			copied := c
			copied.method, copied.path, copied.htm = method, c.path+method, "POST"
			all = append(all, &copied)
		}
	}
	add(cell{door: "Check", call: callCheck}, get)
	add(cell{door: "CheckStream", call: callCheckStream}, list, watch)
	add(cell{door: "gRPC", call: callGRPC(func(f *fixture) map[bool]*grpc.ClientConn { return f.native })}, get, list, watch)
	add(cell{door: "gRPC, ServeHTTP", call: callGRPC(func(f *fixture) map[bool]*grpc.ClientConn { return f.served })}, get, list, watch)
	add(cell{door: "AuthFunc", call: callGRPC(func(f *fixture) map[bool]*grpc.ClientConn { return f.authFunc })}, get, list, watch)
	add(cell{door: "Connect v1, gRPC", path: "/connect-v1", contentType: "application/grpc+proto", body: frame(message), call: callHTTP}, get, list, watch)
	for door, prefix := range map[string]string{"Connect v2": "", "Connect v1": "/connect-v1"} {
		add(cell{door: door, path: prefix, contentType: "application/proto", body: message, call: callHTTP}, get)
		add(cell{door: door + ", JSON", path: prefix, contentType: "application/json", body: []byte(text), call: callHTTP}, get)
		add(cell{door: door + ", stream", path: prefix, contentType: "application/connect+proto", body: frame(message), call: callHTTP}, list, watch)
		add(cell{door: door + ", JSON stream", path: prefix, contentType: "application/connect+json", body: frame([]byte(text)), call: callHTTP}, watch)
		add(cell{door: door + ", gRPC-Web", path: prefix, contentType: "application/grpc-web+proto", body: frame(message), call: callHTTP}, get, list, watch)
		all = append(all, &cell{door: door + ", GET", method: get, htm: "GET", path: prefix + get, call: callHTTP,
			query: "connect=v1&encoding=json&message=" + url.QueryEscape(text)})
	}
	return append(all,
		&cell{door: "grpc-gateway", method: get, htm: "GET", path: "/v1/orders/1", call: callHTTP},
		&cell{door: "grpc-gateway, second route", method: get, htm: "POST", path: "/v1/orders:get", body: []byte(text), call: callHTTP},
		&cell{door: "grpc-gateway", method: list, htm: "GET", path: "/v1/orders", call: callHTTP, noHandler: true}, // has no streams in process
		&cell{door: "grpc-gateway", method: watch, htm: "POST", path: "/v1/orders:watch", body: []byte(text), call: callHTTP, noHandler: true},
		&cell{door: "grpc-gateway before gRPC", method: get, htm: "GET", path: "/gateway/v1/orders/1", call: callHTTP, bearerOnly: true},
		&cell{door: "grpc-gateway before gRPC", method: list, htm: "GET", path: "/gateway/v1/orders", call: callHTTP, bearerOnly: true},
		&cell{door: "plain HTTP", method: get, htm: "GET", path: "/plain/orders/1", call: callHTTP},
	)
}

// unregistered returns the cell with a method that the service does not have.
func (c *cell) unregistered() *cell {
	other := *c
	other.method, other.hidden = "/doors.v1.Orders/NoSuchMethod", c.bearerOnly
	if strings.HasSuffix(c.path, c.method) {
		other.path = strings.TrimSuffix(c.path, c.method) + other.method
	} else {
		other.path = strings.Replace(c.path, "/orders", "/nothing", 1)
	}
	return &other
}

func (f *fixture) request(c *cell, p presented) auth0grpc.Request {
	r := auth0grpc.Request{FullMethod: c.method, Authorization: p.authorization, DPoP: p.dpop, HTTPMethod: c.htm, HTTPPath: c.path}
	if p.withCertificate {
		r.Certificate = f.certificate
	}
	return r
}

func callCheck(t *testing.T, f *fixture, c *cell, p presented) answer {
	ctx, err := f.guard.Check(t.Context(), f.request(c, p))
	return f.answerOf(ctx, err)
}

func callCheckStream(t *testing.T, f *fixture, c *cell, p presented) answer {
	open, err := f.guard.CheckStream(t.Context(), f.request(c, p))
	if err != nil {
		return f.answerOf(t.Context(), err)
	}
	defer open.Close()
	return f.answerOf(open.Context(), nil)
}

func (f *fixture) answerOf(ctx context.Context, err error) answer {
	var refusal *auth0grpc.Refusal
	if errors.As(err, &refusal) {
		return answer{refusal.GRPCStatus(), refusal.Challenges(), refusal.DPoPNonce()}
	}
	f.service.ran.Add(1) // here the test is the handler
	nonce, _ := auth0grpc.DPoPNonceFromContext(ctx)
	return answer{status: status.New(0, ""), nonce: nonce}
}

func callGRPC(conns func(*fixture) map[bool]*grpc.ClientConn) func(*testing.T, *fixture, *cell, presented) answer {
	return func(t *testing.T, f *fixture, c *cell, p presented) answer {
		ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"authorization": p.authorization, "dpop": p.dpop})
		conn, request := conns(f)[p.withCertificate], &ordersv1.GetOrderRequest{Id: "1"}
		var header, trailer metadata.MD
		var err error
		if c.method == list || c.method == watch {
			var stream grpc.ClientStream
			stream, err = conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, c.method)
			if err == nil {
				_ = stream.SendMsg(request) // its error comes from RecvMsg
				_ = stream.CloseSend()
				for err == nil {
					err = stream.RecvMsg(new(ordersv1.Order))
				}
				if errors.Is(err, io.EOF) {
					err = nil
				}
				header, _ = stream.Header()
				trailer = stream.Trailer()
			}
		} else {
			err = conn.Invoke(ctx, c.method, request, new(ordersv1.Order), grpc.Header(&header), grpc.Trailer(&trailer))
		}
		s, _ := status.FromError(err)
		ends := metadata.Join(header, trailer)
		if len(header.Get("www-authenticate")) > 0 { // grpc-go returns the headers of a response without messages twice
			ends = header
		}
		return answer{s, ends.Get("www-authenticate"), strings.Join(ends.Get("dpop-nonce"), " ")}
	}
}

func callHTTP(t *testing.T, f *fixture, c *cell, p presented) answer {
	request, err := http.NewRequestWithContext(t.Context(), c.htm, f.url+c.path+"?"+c.query, bytes.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string][]string{"Authorization": p.authorization, "Dpop": p.dpop} {
		if len(values) > 0 {
			request.Header[name] = values
		}
	}
	if c.contentType != "" {
		request.Header.Set("Content-Type", c.contentType)
	}
	response, err := f.http[p.withCertificate].Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.ProtoMajor != 2 {
		t.Errorf("HTTP/%d", response.ProtoMajor)
	}
	return read(t, c.contentType, response)
}
