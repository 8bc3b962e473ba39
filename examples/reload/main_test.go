//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// write writes the example's policy with one text in place of another.
func write(t *testing.T, file, old, replacement string) {
	t.Helper()
	data, err := os.ReadFile("policy.json")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		t.Fatalf("policy.json has no %s", old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(data), old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hangUp sends SIGHUP to this process, and returns the server's log of it.
func hangUp(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() {
		t.Fatal("the server logs nothing")
	}
	return lines.Text()
}

func TestReload(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	file := filepath.Join(t.TempDir(), "policy.json")
	write(t, file, "", "")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
	}
	reader, writer := io.Pipe()
	lines := bufio.NewScanner(reader)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() {
		err := serve(ctx, config, file, listener, log.New(writer, "", 0))
		writer.Close()
		stopped <- err
	}()
	if !lines.Scan() {
		t.Fatalf("the server does not start: %v", <-stopped)
	}

	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	call := func() codes.Code {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+tenant.Token(map[string]any{"scope": "see:orders"}))
		_, err := ordersv1.NewOrdersClient(conn).GetOrder(ctx, &ordersv1.GetOrderRequest{Id: "no such order"})
		return status.Code(err)
	}
	expect := func(want codes.Code) {
		t.Helper()
		if got := call(); got != want {
			t.Errorf("GetOrder answers %v, want %v", got, want)
		}
	}

	expect(codes.PermissionDenied)
	const row = `"/orders.v1.Orders/GetOrder": {"scopes": ["read:orders"]}`
	write(t, file, row, `"/orders.v1.Orders/GetOrder": {"scopes": ["see:orders"]}`)
	expect(codes.PermissionDenied)
	if got := hangUp(t, lines); got != "policy reloaded" {
		t.Errorf("log %q, want that the policy was reloaded", got)
	}
	expect(codes.NotFound)

	for replacement, want := range map[string]string{
		`"/orders.v1.Orders/GetOrder": {"scope": ["read:orders"]}`:   "policy kept as it was: policy: 7:35: ",
		`"/orders.v1.Orders/GetOrders": {"scopes": ["read:orders"]}`: "policy kept as it was: auth0grpc: row /orders.v1.Orders/GetOrders matches no registered method",
	} {
		write(t, file, row, replacement)
		if got := hangUp(t, lines); !strings.HasPrefix(got, want) {
			t.Errorf("log %q, want %q", got, want)
		}
		if strings.Contains(replacement, `"scope"`) {
			lines.Scan() // a fault a line
		}
		expect(codes.NotFound)
	}

	cancel()
	if err := <-stopped; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		t.Errorf("serve: %v", err)
	}
}

func TestRunWantsSettings(t *testing.T) {
	err := run(t.Context(), nil, func(string) string { return "" }, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "AUTH0_DOMAIN, AUTH0_AUDIENCE") {
		t.Errorf("run: %v, want what is not set", err)
	}
}
