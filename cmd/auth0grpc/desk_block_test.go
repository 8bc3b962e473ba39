package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A server that follows the events of the tenant ends the stream of a user whom the block
// subcommand blocks, and no other.
func TestBlockEndsTheStream(t *testing.T) {
	config, port, certificate := deskFile(t)
	runningTenant(t, config)
	issuer := fmt.Sprintf("https://127.0.0.1:%d/", port)
	client, err := trustFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{issuer}, Audiences: []string{"https://api.example.com"}, HTTPClient: client,
		Methods: map[string]auth0grpc.Rule{auth0grpc.HealthService: auth0grpc.Scopes("read:orders")},
	})
	if err != nil {
		t.Fatal(err)
	}
	followEvents(t, guard, auth0grpcclient.Config{
		Issuer: issuer, ClientID: "orders-events", ClientSecret: "development-secret", Audience: issuer + "api/v2/", HTTPClient: client,
	})
	server := grpc.NewServer(guard.ServerOptions()...)
	healthv1.RegisterHealthServer(server, health.NewServer())
	conn := auth0grpctest.Connect(t, server, "")
	streams := map[string]healthv1.Health_WatchClient{}
	for _, user := range []string{"alice", "bob"} {
		stream, err := healthv1.NewHealthClient(conn).Watch(withDeskToken(t, config, user), &healthv1.HealthCheckRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
		streams[user] = stream
	}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"block", "-config", config, "-user", "alice"}, os.Getenv, strings.NewReader(""), &stdout, &stderr); status != exitOK {
		t.Fatalf("status %d\n%s", status, &stderr)
	}
	wantMarked(t, stdout.String())
	_, err = streams["alice"].Recv()
	if reason, _ := auth0grpc.ReasonFromError(err); reason != auth0grpc.ReasonTokenRevoked {
		t.Errorf("alice: %v, want %s", err, auth0grpc.ReasonTokenRevoked)
	}
	if open := guard.Stats().OpenStreams; open != 1 {
		t.Errorf("%d open streams, want bob's", open)
	}
}

// followEvents follows until the test ends.
func followEvents(t *testing.T, guard *auth0grpc.Interceptor, config auth0grpcclient.Config) {
	t.Helper()
	creds, err := auth0grpcclient.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- auth0grpcevents.Follow(ctx, guard, auth0grpcevents.Config{
			TokenSource: creds, Tenant: auth0grpctest.EventsTenant, HTTPClient: config.HTTPClient,
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; ctx.Err() == nil {
			t.Error(err)
		}
	})
}

// withDeskToken returns a context with a token of the token subcommand.
func withDeskToken(t *testing.T, config, user string) context.Context {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"token", "-config", config, "-user", user}, os.Getenv, strings.NewReader(""), &stdout, &stderr); status != exitOK {
		t.Fatalf("status %d\n%s", status, &stderr)
	}
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+strings.TrimSpace(stdout.String()))
}

func TestBlockErrors(t *testing.T) {
	config, _, _ := deskFile(t)
	runningTenant(t, config)
	for name, args := range map[string][]string{
		"no user":      {"block", "-config", config},
		"unknown user": {"block", "-config", config, "-user", "carol"},
		"argument":     {"block", "-config", config, "alice"},
		"no tenant":    {"block", "-config", file(t, `{"port": 1, "certificate": "none.pem", "tokenLifetime": "1m"}`), "-user", "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), args, os.Getenv, strings.NewReader(""), &stdout, &stderr); status != exitUsage || stdout.Len() > 0 {
				t.Errorf("status %d, want %d\n%s", status, exitUsage, &stdout)
			}
			wantMarked(t, stderr.String())
		})
	}
}
