package auth0grpcredis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// This file runs in the server processes of processes_test.go: a real gRPC server,
// which the test also commands, by lines of JSON on its standard input, each with one
// line of response on its standard output. It ends when its input does, and so with the
// test at the latest.

// replicaEnv has a replicaConfig as JSON.
const replicaEnv = "AUTH0GRPCREDIS_TEST_REPLICA"

type replicaConfig struct {
	Issuer      string
	Certificate []byte // of the tenant, DER
	Redis       string
}

type order struct {
	Revoke *auth0grpc.Revocation // or only return the state
}

type answer struct {
	Address string   // of the server
	Gaps    []string // that the feed has reported
	Error   string   // of Revoke
}

// authority is the address that clients use for the servers, for DPoP.
const authority = "https://api.example.com"

func runReplica(text string) error {
	var config replicaConfig
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: config.Redis, ContextTimeoutEnabled: true})
	defer client.Close()
	feed, err := NewRevocationFeed(client, FeedConfig{Timeout: testTimeout})
	if err != nil {
		return err
	}
	store, err := NewReplayStore(client, ReplayConfig{Timeout: testTimeout})
	if err != nil {
		return err
	}
	witness := &gapWitness{RevocationFeed: feed}
	guard, err := newGuard(config, witness, store)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	followed := make(chan error, 1)
	go func() { followed <- guard.FollowRevocations(ctx) }()

	server := grpc.NewServer(guard.ServerOptions()...)
	testgrpc.RegisterTestServiceServer(server, service{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return err
	}
	go server.Serve(listener)
	err = obey(guard, listener.Addr().String(), witness)
	server.Stop()
	cancel()
	if end := <-followed; !errors.Is(end, context.Canceled) {
		err = errors.Join(err, fmt.Errorf("FollowRevocations = %w", end))
	}
	return err
}

func newGuard(config replicaConfig, feed auth0grpc.RevocationFeed, store auth0grpc.ReplayStore) (*auth0grpc.Interceptor, error) {
	certificate, err := x509.ParseCertificate(config.Certificate)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return auth0grpc.New(auth0grpc.Config{
		Issuers:        []string{config.Issuer},
		Audiences:      []string{auth0grpctest.Audience},
		Methods:        map[string]auth0grpc.Rule{"/grpc.testing.TestService/*": auth0grpc.Scopes("read:orders")},
		HTTPClient:     &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
		RevocationFeed: feed,
		DPoP:           auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{authority}, ReplayStore: store},
		Logger:         slog.New(slog.DiscardHandler),
	})
}

// obey executes the test's commands until there are no more.
func obey(guard *auth0grpc.Interceptor, address string, witness *gapWitness) error {
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if err := orders.Decode(&o); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		a := answer{Address: address}
		if o.Revoke != nil {
			if err := guard.Revoke(context.Background(), *o.Revoke); err != nil {
				a.Error = err.Error()
			}
		}
		a.Gaps = witness.seen()
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

// A gapWitness notes the gaps that a feed reports.
type gapWitness struct {
	*RevocationFeed
	mu   sync.Mutex
	gaps []string
}

func (w *gapWitness) Follow(ctx context.Context, apply func(auth0grpc.Revocation), gap func(error)) error {
	return w.RevocationFeed.Follow(ctx, apply, func(err error) {
		w.mu.Lock()
		w.gaps = append(w.gaps, err.Error())
		w.mu.Unlock()
		gap(err)
	})
}

func (w *gapWitness) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.gaps...)
}

// service answers calls, and keeps streams open until something ends them.
type service struct {
	testgrpc.UnimplementedTestServiceServer
}

func (service) EmptyCall(context.Context, *testgrpc.Empty) (*testgrpc.Empty, error) {
	return &testgrpc.Empty{}, nil
}

func (service) FullDuplexCall(stream testgrpc.TestService_FullDuplexCallServer) error {
	if err := stream.Send(&testgrpc.StreamingOutputCallResponse{}); err != nil {
		return err
	}
	_, err := stream.Recv()
	return err
}
