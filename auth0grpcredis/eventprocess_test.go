package auth0grpcredis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpcclient"
	"github.com/auth0grpc/auth0grpc/auth0grpcevents"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// This file runs in the server processes of events_test.go: a gRPC server that follows the
// events of a tenant. It answers each line of its standard input with its state as JSON,
// and ends when its input does.

// eventProcessEnv has an eventProcessConfig as JSON.
const eventProcessEnv = "AUTH0GRPCREDIS_TEST_EVENTS"

// leaseDuration of the server processes. It bounds how long a killed leader is missed.
const leaseDuration = time.Second

type eventProcessConfig struct {
	Issuer, Audience string
	Certificate      []byte // of the tenant, DER
	Redis            string
}

// eventProcessState is the answer of a server process.
type eventProcessState struct {
	Address string
	Leader  bool
	Outages uint64
}

func runEventProcess(text string) error {
	var config eventProcessConfig
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	certificate, err := x509.ParseCertificate(config.Certificate)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	httpClient := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	client := redis.NewClient(&redis.Options{Addr: config.Redis, ContextTimeoutEnabled: true})
	defer client.Close()
	feed, err := NewRevocationFeed(client, FeedConfig{Timeout: 10 * time.Second}) // a machine under load is no outage
	if err != nil {
		return err
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{config.Issuer}, Audiences: []string{auth0grpctest.Audience}, RevocationFeed: feed,
		Methods:    map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Authenticated()},
		HTTPClient: httpClient, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	creds, err := auth0grpcclient.New(auth0grpcclient.Config{
		Issuer: config.Issuer, ClientID: "events", ClientSecret: "client-secret", Audience: config.Audience, HTTPClient: httpClient,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	monitor, done := new(auth0grpcevents.Monitor), make(chan error, 2)
	go func() { done <- guard.FollowRevocations(ctx) }()
	go func() {
		done <- auth0grpcevents.Follow(ctx, guard, auth0grpcevents.Config{
			TokenSource: creds, Tenant: auth0grpctest.EventsTenant, Store: feed.EventStore(), LeaseDuration: leaseDuration,
			HTTPClient: httpClient, Monitor: monitor, Logger: slog.New(slog.DiscardHandler),
		})
	}()
	if err := feed.Ready(ctx); err != nil { // before the server takes calls
		return err
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, service{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.Serve(listener)
	err = answerState(listener.Addr().String(), monitor)
	server.Stop()
	cancel()
	for range 2 {
		if end := <-done; !errors.Is(end, context.Canceled) {
			err = errors.Join(err, end)
		}
	}
	return err
}

// answerState answers the test until it has no more questions.
func answerState(address string, monitor *auth0grpcevents.Monitor) error {
	questions, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var question struct{}
		if err := questions.Decode(&question); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		stats := monitor.Stats()
		if err := answers.Encode(eventProcessState{Address: address, Leader: stats.Leader, Outages: stats.Outages}); err != nil {
			return err
		}
	}
}
