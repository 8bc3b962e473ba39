// Client calls the server of examples/server with a token of an Auth0 tenant: as
// itself, by its client credentials, or with -device as the user who confirms
// the code that it shows.
//
//	export AUTH0_DOMAIN=TENANT.eu.auth0.com AUTH0_AUDIENCE=https://api.example.com
//	export AUTH0_CLIENT_ID=… AUTH0_CLIENT_SECRET=…
//	go run ./examples/client -ca server.pem
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"

	"golang.org/x/oauth2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/examples/internal/env"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
	"github.com/auth0grpc/auth0grpc/examples/internal/trust"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout io.Writer) error {
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	addr := flags.String("addr", "localhost:50051", "`address` of the server")
	caFile := flags.String("ca", "", "`file` of the certificate to trust (default: the system's)")
	tenantCA := flags.String("tenant-ca", "", "for a development tenant: `file` of its certificate (see docs/desk-tenant.md)")
	device := flags.Bool("device", false, "call for a user, by the device authorization flow")
	if err := flags.Parse(args); err != nil {
		return err
	}
	login := clientCredentials
	names := []string{"AUTH0_DOMAIN", "AUTH0_AUDIENCE", "AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET"}
	if *device {
		login, names = deviceFlow, names[:3]
	}
	settings, err := env.Require(getenv, names...)
	if err != nil {
		return err
	}
	httpClient, err := trust.Client(*tenantCA)
	if err != nil {
		return err
	}
	options, err := login(ctx, settings, httpClient, stdout)
	if err != nil {
		return err
	}
	conn, err := dial(*addr, *caFile, options)
	if err != nil {
		return err
	}
	defer conn.Close()
	return order(ctx, ordersv1.NewOrdersClient(conn), stdout)
}

// clientCredentials returns options that send the program's own token with every call.
func clientCredentials(ctx context.Context, settings map[string]string, httpClient *http.Client, _ io.Writer) ([]grpc.DialOption, error) {
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer:       "https://" + settings["AUTH0_DOMAIN"] + "/",
		ClientID:     settings["AUTH0_CLIENT_ID"],
		ClientSecret: settings["AUTH0_CLIENT_SECRET"],
		Audience:     settings["AUTH0_AUDIENCE"],
		HTTPClient:   httpClient,
	})
	if err != nil {
		return nil, err
	}
	if err := creds.Ready(ctx); err != nil { // rather than on the first call
		return nil, fmt.Errorf("client credentials: %w", err)
	}
	return creds.DialOptions(), nil
}

// deviceFlow gets a token for the user who opens the address and confirms. The
// program requests the scopes on the user's behalf.
func deviceFlow(ctx context.Context, settings map[string]string, httpClient *http.Client, stdout io.Writer) ([]grpc.DialOption, error) {
	if httpClient != nil {
		ctx = context.WithValue(ctx, oauth2.HTTPClient, httpClient)
	}
	config := oauth2.Config{
		ClientID: settings["AUTH0_CLIENT_ID"],
		Scopes:   []string{"read:orders", "write:orders"},
		Endpoint: oauth2.Endpoint{
			DeviceAuthURL: "https://" + settings["AUTH0_DOMAIN"] + "/oauth/device/code",
			TokenURL:      "https://" + settings["AUTH0_DOMAIN"] + "/oauth/token",
			AuthStyle:     oauth2.AuthStyleInParams,
		},
	}
	device, err := config.DeviceAuth(ctx, oauth2.SetAuthURLParam("audience", settings["AUTH0_AUDIENCE"]))
	if err != nil {
		return nil, fmt.Errorf("device authorization: %w", err)
	}
	fmt.Fprintf(stdout, "open %s and confirm %s\n", device.VerificationURIComplete, device.UserCode)
	token, err := config.DeviceAccessToken(ctx, device)
	if err != nil {
		return nil, fmt.Errorf("device authorization: %w", err)
	}
	return []grpc.DialOption{grpc.WithPerRPCCredentials(bearer{config.TokenSource(ctx, token)})}, nil
}

// dial returns a connection over TLS. gRPC sends tokens over no other.
func dial(addr, caFile string, options []grpc.DialOption) (*grpc.ClientConn, error) {
	transport := credentials.NewTLS(nil)
	if caFile != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(caFile, ""); err != nil {
			return nil, err
		}
	}
	return grpc.NewClient(addr, append(options, grpc.WithTransportCredentials(transport))...)
}

// order places an order and lists the orders.
func order(ctx context.Context, client ordersv1.OrdersClient, stdout io.Writer) error {
	created, err := client.CreateOrder(ctx, &ordersv1.CreateOrderRequest{Product: "tea"})
	if err != nil {
		return explain("CreateOrder", err)
	}
	fmt.Fprintf(stdout, "made    %s: %s for %s\n", created.GetId(), created.GetProduct(), created.GetOwner())

	stream, err := client.ListOrders(ctx, &ordersv1.ListOrdersRequest{})
	if err != nil {
		return explain("ListOrders", err)
	}
	for {
		order, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return explain("ListOrders", err)
		}
		fmt.Fprintf(stdout, "listed  %s: %s for %s\n", order.GetId(), order.GetProduct(), order.GetOwner())
	}
}

// explain adds the reason of a refusal, on which a program can act.
func explain(method string, err error) error {
	switch reason, _ := auth0grpc.ReasonFromError(err); reason {
	case "":
		return fmt.Errorf("%s: %w", method, err)
	case auth0grpc.ReasonInsufficientScope:
		return fmt.Errorf("%s: %w\n%s: grant the scope to this client in Auth0 and get a new token", method, err, reason)
	default:
		return fmt.Errorf("%s: %w\n%s", method, err, reason)
	}
}

// bearer sends a user's token with every call, and only over TLS.
type bearer struct{ tokens oauth2.TokenSource }

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := b.tokens.Token()
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token.AccessToken}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }
