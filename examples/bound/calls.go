package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// A call is one row of the demonstration.
type call struct {
	method string
	who    string // the caller and its credential
	conn   *grpc.ClientConn
	send   func(context.Context, *grpc.ClientConn) error
	by     []string // metadata added by hand, in pairs
	code   codes.Code
	reason auth0grpc.Reason // "" where the interceptor lets the call pass
}

// demonstrate makes all calls, prints the outcome of each, and returns an error
// if any ended otherwise than announced.
func demonstrate(ctx context.Context, c *clients, tap *wiretap, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CALL\tBY\tSTATUS\tREASON")
	total, wrong := 0, 0
	for _, part := range []func(*clients, *wiretap) []call{honest, thefts(ctx), proxied(ctx)} {
		calls := part(c, tap)
		total += len(calls)
		wrong += makeCalls(ctx, table, calls)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d of %d calls ended as announced.\n", total-wrong, total)
	if wrong > 0 {
		return fmt.Errorf("%d of %d calls ended otherwise than announced", wrong, total)
	}
	return nil
}

// honest are the calls of clients with tokens of their own.
func honest(c *clients, _ *wiretap) []call {
	return []call{
		{"GetOrder", "Bearer client", c.bearer, getOrder("1"), nil, codes.OK, ""},
		{"CreateOrder", "Bearer client", c.bearer, createOrder, nil, codes.Unauthenticated, auth0grpc.ReasonDPoPRequired},
		{"CreateOrder", "DPoP client", c.dpop, createOrder, nil, codes.OK, ""},
		{"ListOrders", "DPoP client", c.dpop, listOrders, nil, codes.OK, ""},
		{"DeleteOrder", "DPoP client", c.dpop, deleteOrder("2"), nil, codes.Unauthenticated, auth0grpc.ReasonTokenNotBound},
		{"GetOrder", "mTLS client", c.mtls, getOrder("3"), nil, codes.OK, ""},
		{"ListOrders", "mTLS client", c.mtls, listOrders, nil, codes.OK, ""},
		{"DeleteOrder", "mTLS client", c.mtls, deleteOrder("3"), nil, codes.OK, ""},
		{"CreateOrder", "mTLS client", c.mtls, createOrder, nil, codes.Unauthenticated, auth0grpc.ReasonDPoPRequired},
	}
}

// thefts are the calls of an attacker with a recorded call of each client.
func thefts(ctx context.Context) func(*clients, *wiretap) []call {
	return func(c *clients, tap *wiretap) []call {
		token, proof := overhear(ctx, tap, c.dpop, "2")
		ofCertificate, _ := overhear(ctx, tap, c.mtls, "1")
		otherKey := auth0grpctest.NewDPoPKey()
		get := getOrder("2")
		return []call{
			{"GetOrder", "thief, DPoP token as Bearer", c.anonymous, get, []string{"authorization", "Bearer " + token}, codes.Unauthenticated, auth0grpc.ReasonBoundToken},
			{"GetOrder", "thief, DPoP token alone", c.anonymous, get, []string{"authorization", "DPoP " + token}, codes.Unauthenticated, auth0grpc.ReasonMissingDPoPProof},
			{"GetOrder", "thief, proof again", c.anonymous, get, []string{"authorization", "DPoP " + token, "dpop", proof}, codes.Unauthenticated, auth0grpc.ReasonDPoPProofReplayed},
			{"ListOrders", "thief, proof of GetOrder", c.anonymous, listOrders, []string{"authorization", "DPoP " + token, "dpop", proof}, codes.Unauthenticated, auth0grpc.ReasonInvalidDPoPProof},
			{"GetOrder", "thief, proof of the thief's", c.anonymous, get, []string{"authorization", "DPoP " + token, "dpop", c.proof(otherKey, token)}, codes.Unauthenticated, auth0grpc.ReasonInvalidDPoPProof},
			{"GetOrder", "DPoP client, proof without nonce", c.anonymous, get, []string{"authorization", "DPoP " + token, "dpop", c.proof(c.key, token)}, codes.Unauthenticated, auth0grpc.ReasonUseDPoPNonce},
			{"GetOrder", "thief, mTLS token", c.anonymous, get, []string{"authorization", "Bearer " + ofCertificate}, codes.Unauthenticated, auth0grpc.ReasonWrongCertificate},
			{"GetOrder", "thief, mTLS token, another certificate", c.other, get, []string{"authorization", "Bearer " + ofCertificate}, codes.Unauthenticated, auth0grpc.ReasonWrongCertificate},
		}
	}
}

// proxied are calls with Envoy's header, through Envoy and not.
func proxied(ctx context.Context) func(*clients, *wiretap) []call {
	return func(c *clients, tap *wiretap) []call {
		token, _ := overhear(ctx, tap, c.mtls, "1")
		header := []string{"authorization", "Bearer " + token, xfcc, forwarded(c.certificate)}
		return []call{
			{"ListOrders", "mTLS client behind the proxy", c.proxy, listOrders, header, codes.OK, ""},
			{"ListOrders", "client without certificate behind it", c.proxy, listOrders, header[:2], codes.Unauthenticated, auth0grpc.ReasonWrongCertificate},
			{"ListOrders", "thief who writes the proxy's header", c.other, listOrders, header, codes.Unauthenticated, auth0grpc.ReasonWrongCertificate},
		}
	}
}

// overhear makes a call of a client and returns its metadata.
func overhear(ctx context.Context, tap *wiretap, conn *grpc.ClientConn, id string) (token, proof string) {
	_ = getOrder(id)(ctx, conn) // the outcome does not matter
	_, token, _ = strings.Cut(tap.heard("authorization"), " ")
	return token, tap.heard("dpop")
}

// makeCalls makes the calls one after the other, writes a row of each, and
// returns how many ended otherwise than announced.
func makeCalls(ctx context.Context, table io.Writer, calls []call) (wrong int) {
	for _, c := range calls {
		err := c.send(metadata.AppendToOutgoingContext(ctx, c.by...), c.conn)
		reason, _ := auth0grpc.ReasonFromError(err)
		fmt.Fprintf(table, "%s\t%s\t%v\t%s\n", c.method, c.who, status.Code(err), orDash(reason))
		if status.Code(err) != c.code || reason != c.reason {
			fmt.Fprintf(table, "^\tannounced:\t%v\t%s\n", c.code, orDash(c.reason))
			wrong++
		}
	}
	return wrong
}

func orDash(reason auth0grpc.Reason) auth0grpc.Reason {
	if reason == "" {
		return "-"
	}
	return reason
}

func getOrder(id string) func(context.Context, *grpc.ClientConn) error {
	return func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := ordersv1.NewOrdersClient(conn).GetOrder(ctx, &ordersv1.GetOrderRequest{Id: id})
		return err
	}
}

func deleteOrder(id string) func(context.Context, *grpc.ClientConn) error {
	return func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := ordersv1.NewOrdersClient(conn).DeleteOrder(ctx, &ordersv1.DeleteOrderRequest{Id: id})
		return err
	}
}

func createOrder(ctx context.Context, conn *grpc.ClientConn) error {
	_, err := ordersv1.NewOrdersClient(conn).CreateOrder(ctx, &ordersv1.CreateOrderRequest{Product: "tea"})
	return err
}

// listOrders reads a stream to its end.
func listOrders(ctx context.Context, conn *grpc.ClientConn) error {
	stream, err := ordersv1.NewOrdersClient(conn).ListOrders(ctx, &ordersv1.ListOrdersRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
