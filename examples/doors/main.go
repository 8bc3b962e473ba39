// Doors serves one service over one port by every door: gRPC, Connect v2, Connect v1,
// gRPC-Web, grpc-gateway in process and plain HTTP. One table decides at each of them.
// It prints a curl or grpcurl line for each door:
//
//	cd examples/doors && go run .
//
// The Enter key revokes all tokens: open streams end, and calls are refused.
//
// It needs no account: the tenant runs inside this process. It has no TLS, so it serves
// only the loopback address; see examples/server for a real one.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/examples/doors/doorsv1"
	"github.com/auth0grpc/auth0grpc/examples/internal/orders"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "127.0.0.1:8080", "loopback `address` to serve on; port 0 takes a free one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// outage is an issuer that cannot be reached: no server listens on port 1.
const outage = "https://127.0.0.1:1/"

// run serves until ctx ends.
func run(ctx context.Context, addr string, in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	tenant, err := auth0grpctest.StartTenant()
	if err != nil {
		return err
	}
	defer tenant.Close()
	address := "http://" + listener.Addr().String()
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers:    []string{tenant.Issuer(), outage},
		Audiences:  []string{auth0grpctest.Audience},
		Methods:    methods(),
		HTTPClient: tenant.HTTPClient(), // trusts this tenant's certificate; leave it out for Auth0
		Resource:   address,
		DPoP:       auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{address}},

		InsecureLoopbackHTTP: true, // for Resource; leave it out behind TLS
	})
	if err != nil {
		return err
	}
	handler, err := newHandler(guard, service{Server: orders.NewServer(auth0grpctest.Subject)})
	if err != nil {
		return err
	}
	server := newServer(handler)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	fmt.Fprint(out, lines(tenant, address))
	go revokeByLine(ctx, guard, tenant.Issuer(), in, out)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// revokeByLine revokes the tokens of the user for each line of in.
func revokeByLine(ctx context.Context, guard *auth0grpc.Interceptor, issuer string, in io.Reader, out io.Writer) {
	for line := bufio.NewScanner(in); line.Scan(); {
		if err := guard.Revoke(ctx, auth0grpc.Revocation{Issuer: issuer, Subject: auth0grpctest.Subject}); err != nil {
			log.Print(err)
			continue
		}
		fmt.Fprintln(out, "# All tokens are revoked.")
	}
}

// newServer returns a server of HTTP/1.1 and of HTTP/2 without TLS, which gRPC needs.
func newServer(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{Handler: handler, Protocols: protocols, ReadHeaderTimeout: 5 * time.Second}
}

// A service is orders.Server as the implementation of doors.v1.Orders.
type service struct {
	*orders.Server
	doorsv1.UnsafeOrdersServer
}
