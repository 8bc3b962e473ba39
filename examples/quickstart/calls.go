package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// A call is one row of the demonstration: a request and its expected outcome.
type call struct {
	method string
	what   string // the token, in words
	token  string // the token; "" sends none
	send   sender
	code   codes.Code
	reason auth0grpc.Reason // "" where the interceptor lets the call pass
}

// A sender makes one call and returns the metadata that it ended with.
type sender func(context.Context) (metadata.MD, error)

// demonstrate makes all calls, prints the outcome of each, and returns an error
// if any ended otherwise than announced.
func demonstrate(ctx context.Context, tenant *auth0grpctest.Tenant, conn *grpc.ClientConn, out io.Writer) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "CALL\tTOKEN\tSTATUS\tREASON\tERROR")
	calls := callsOf(tenant, conn)
	before := tenant.Token(scope("read:orders"))
	wrong := makeCalls(ctx, table, calls)

	tenant.RotateKeys()
	get := getOrder(conn, "1")
	rotated := []call{
		{"GetOrder", "new key", tenant.Token(scope("read:orders")), get, codes.OK, ""},
		{"GetOrder", "old key", before, get, codes.OK, ""},
	}
	wrong += makeCalls(ctx, table, rotated)
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprint(out, paint(text.String(), hasColor(out)))
	full, _ := deleteOrder(conn)(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+before))
	total := len(calls) + len(rotated)
	fmt.Fprintf(out, "\nThe whole challenge of DeleteOrder, under the key www-authenticate:\n  %s\n",
		strings.ReplaceAll(challenge(full), `, error_description`, ",\n  error_description"))
	fmt.Fprintln(out, "\nListOrders, ImportOrders, WatchOrders and Reflection are streams.")
	fmt.Fprintf(out, "Key fetches by the server: %d.\n", tenant.KeyFetches())
	fmt.Fprintf(out, "%d of %d calls ended as announced.\n", total-wrong, total)
	if wrong > 0 {
		return fmt.Errorf("%d of %d calls ended otherwise than announced", wrong, total)
	}
	return nil
}

// callsOf returns the calls up to the rotation of keys.
func callsOf(tenant *auth0grpctest.Tenant, conn *grpc.ClientConn) []call {
	read := tenant.Token(scope("read:orders"))
	expired := tenant.Token(map[string]any{"scope": "read:orders", "exp": time.Now().Add(-time.Minute)})
	otherAPI := tenant.Token(map[string]any{"scope": "read:orders", "aud": "https://billing.example.com"})
	importing := tenant.Token(map[string]any{"scope": "write:orders", "permissions": []string{"import:orders"}})
	get := getOrder(conn, "1")
	return []call{
		{"GetOrder", "read:orders", read, get, codes.OK, ""},
		{"GetOrder", "none", "", get, codes.Unauthenticated, auth0grpc.ReasonMissingToken},
		{"GetOrder", "expired", expired, get, codes.Unauthenticated, auth0grpc.ReasonTokenExpired},
		{"GetOrder", "other API", otherAPI, get, codes.Unauthenticated, auth0grpc.ReasonWrongAudience},
		{"GetOrder", "an ID token", tenant.IDToken(nil), get, codes.Unauthenticated, auth0grpc.ReasonWrongTokenType},
		{"GetOrder", "forged", forged(tenant), get, codes.Unauthenticated, auth0grpc.ReasonBadSignature},
		{"GetOrder 2", "read:orders", read, getOrder(conn, "2"), codes.NotFound, ""}, // scopes are not ownership
		{"DeleteOrder", "read:orders", read, deleteOrder(conn), codes.PermissionDenied, auth0grpc.ReasonInsufficientScope},
		{"ListOrders", "read:orders", read, listOrders(conn), codes.OK, ""},
		{"ImportOrders", "permission", importing, importOrders(conn), codes.OK, ""},
		{"WatchOrders", "no scope", tenant.Token(nil), watchOrders(conn), codes.OK, ""},
		{"ListProducts", "none", "", listProducts(conn), codes.OK, ""},
		{"GetPrice", "none", "", getPrice(conn), codes.OK, ""},
		{"GetPrice", "expired", expired, getPrice(conn), codes.Unauthenticated, auth0grpc.ReasonTokenExpired},
		{"Health", "none", "", checkHealth(conn), codes.OK, ""},
		{"Reflection", "read:orders", read, reflect(conn), codes.PermissionDenied, auth0grpc.ReasonMethodNotListed},
	}
}

func scope(scopes string) map[string]any { return map[string]any{"scope": scopes} }

// forged returns a token with the claims of one and the signature of another.
func forged(tenant *auth0grpctest.Tenant) string {
	claims, signature := tenant.Token(scope("admin")), tenant.Token(scope("read:orders"))
	return claims[:strings.LastIndex(claims, ".")] + signature[strings.LastIndex(signature, "."):]
}

// makeCalls makes the calls one after the other, writes a row of each, and
// returns how many ended otherwise than announced.
func makeCalls(ctx context.Context, table io.Writer, calls []call) (wrong int) {
	for _, c := range calls {
		callContext := ctx
		if c.token != "" {
			callContext = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+c.token)
		}
		md, err := c.send(callContext)
		code, reason := outcome(err)
		fmt.Fprintf(table, "%s\t%s\t%v\t%s\t%s\n", c.method, c.what, code, describe(code, reason), errorWord(challenge(md)))
		if code != c.code || reason != c.reason {
			fmt.Fprintf(table, "^\tannounced:\t%v\t%s\t\n", c.code, describe(c.code, c.reason))
			wrong++
		}
	}
	return wrong
}

// outcome describes the error of a call from the view of a client.
func outcome(err error) (codes.Code, auth0grpc.Reason) {
	reason, _ := auth0grpc.ReasonFromError(err)
	return status.Code(err), reason
}

// describe returns the reason in a word, also where there is none.
func describe(code codes.Code, reason auth0grpc.Reason) string {
	switch {
	case reason != "":
		return string(reason)
	case code == codes.OK:
		return "-"
	}
	return "(by the handler)"
}

// challenge returns the www-authenticate value, or "".
func challenge(md metadata.MD) string {
	values := md.Get("www-authenticate")
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// errorWord returns the error code of RFC 6750, section 3.1, in a challenge. A challenge
// without a code is "none", and no challenge is "-".
func errorWord(challenge string) string {
	_, rest, found := strings.Cut(challenge, `error="`)
	switch {
	case challenge == "":
		return "-"
	case !found:
		return "none"
	}
	word, _, _ := strings.Cut(rest, `"`)
	return word
}

// unary makes a sender of a method with one request and one response.
func unary[Request, Response any](method func(context.Context, *Request, ...grpc.CallOption) (Response, error), request *Request) sender {
	return func(ctx context.Context) (md metadata.MD, err error) {
		_, err = method(ctx, request, grpc.Trailer(&md))
		return md, err
	}
}

func getOrder(conn *grpc.ClientConn, id string) sender {
	return unary(ordersv1.NewOrdersClient(conn).GetOrder, &ordersv1.GetOrderRequest{Id: id})
}

func deleteOrder(conn *grpc.ClientConn) sender {
	return unary(ordersv1.NewOrdersClient(conn).DeleteOrder, &ordersv1.DeleteOrderRequest{Id: "1"})
}

func listProducts(conn *grpc.ClientConn) sender {
	return unary(ordersv1.NewCatalogClient(conn).ListProducts, &ordersv1.ListProductsRequest{})
}

func getPrice(conn *grpc.ClientConn) sender {
	return unary(ordersv1.NewCatalogClient(conn).GetPrice, &ordersv1.GetPriceRequest{Product: "tea"})
}

func checkHealth(conn *grpc.ClientConn) sender {
	return unary(healthv1.NewHealthClient(conn).Check, &healthv1.HealthCheckRequest{})
}

func listOrders(conn *grpc.ClientConn) sender {
	return func(ctx context.Context) (metadata.MD, error) {
		stream, err := ordersv1.NewOrdersClient(conn).ListOrders(ctx, &ordersv1.ListOrdersRequest{})
		if err != nil {
			return nil, err
		}
		return drain(stream, stream.Recv)
	}
}

func importOrders(conn *grpc.ClientConn) sender {
	return func(ctx context.Context) (metadata.MD, error) {
		stream, err := ordersv1.NewOrdersClient(conn).ImportOrders(ctx)
		if err != nil {
			return nil, err
		}
		// A stream that was refused fails to send with io.EOF; its status comes with CloseAndRecv.
		if err := stream.Send(&ordersv1.CreateOrderRequest{Product: "coffee"}); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		_, err = stream.CloseAndRecv()
		return stream.Trailer(), err
	}
}

func watchOrders(conn *grpc.ClientConn) sender {
	return func(ctx context.Context) (metadata.MD, error) {
		stream, err := ordersv1.NewOrdersClient(conn).WatchOrders(ctx)
		if err != nil {
			return nil, err
		}
		return talk(stream, &ordersv1.GetOrderRequest{Id: "1"})
	}
}

func reflect(conn *grpc.ClientConn) sender {
	return func(ctx context.Context) (metadata.MD, error) {
		stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(ctx)
		if err != nil {
			return nil, err
		}
		return talk(stream, &reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{},
		})
	}
}

// talk sends one request on a stream of both directions and reads to its end.
func talk[Request, Response any](stream grpc.BidiStreamingClient[Request, Response], request *Request) (metadata.MD, error) {
	if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	return drain(stream, stream.Recv)
}

// drain reads a stream to its end.
func drain[Response any](stream grpc.ClientStream, receive func() (Response, error)) (metadata.MD, error) {
	for {
		_, err := receive()
		if errors.Is(err, io.EOF) {
			return stream.Trailer(), nil
		}
		if err != nil {
			return stream.Trailer(), err
		}
	}
}
