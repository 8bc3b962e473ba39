package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	ordersv1 "github.com/auth0grpc/auth0grpc/examples/internal/orders/v1"
)

// An open stream ends at every door when its token is revoked, and the client learns the
// reason.
func TestRevokeEndsStreamsAtEveryDoor(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	f := newFixture(t, auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
	})
	f.service.ended = make(chan struct{}, 1)
	tested := 0
	for _, c := range cells() {
		if c.method != watch || c.noHandler || c.door == "CheckStream" || c.door == "AuthFunc" { // AuthFunc ends no streams
			continue
		}
		tested++
		t.Run(c.door, func(t *testing.T) {
			revocation := auth0grpc.Revocation{Issuer: tenant.Issuer(), Subject: "auth0|" + c.door}
			token := "Bearer " + tenant.Token(claims{"scope": "read:orders", "sub": revocation.Subject})
			revoke := func() {
				if err := f.guard.Revoke(t.Context(), revocation); err != nil {
					t.Fatal(err)
				}
			}
			var ended *status.Status
			switch c.door {
			case "gRPC":
				ended = endGRPC(t, f.native[false], token, revoke)
			case "gRPC, ServeHTTP":
				ended = endGRPC(t, f.served[false], token, revoke)
			default:
				ended = endHTTP(t, f, c, token, revoke)
			}
			select {
			case <-f.service.ended:
			case <-time.After(5 * time.Minute): // only stops a hang
				t.Fatal("the handler did not return")
			}
			const want = auth0grpc.ReasonTokenRevoked
			if reason, _ := auth0grpc.ReasonFromError(ended.Err()); reason != want || ended.Code() == codes.OK || auth0grpc.RefusedBeforeHandler(ended.Err()) {
				t.Errorf("ended with %v, reason %q, want %q", ended, reason, want)
			}
		})
	}
	if tested < 8 {
		t.Errorf("%d doors", tested)
	}
}

// endGRPC opens a stream, exchanges a message, revokes, and returns the status.
func endGRPC(t *testing.T, conn *grpc.ClientConn, token string, revoke func()) *status.Status {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", token)
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, watch)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&ordersv1.GetOrderRequest{Id: "1"}); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(ordersv1.Order)); err != nil {
		t.Fatal(err)
	}
	revoke()
	s, _ := status.FromError(stream.RecvMsg(new(ordersv1.Order)))
	return s
}

// endHTTP does the same over HTTP/2.
func endHTTP(t *testing.T, f *fixture, c *cell, token string, revoke func()) *status.Status {
	t.Helper()
	body, client := io.Pipe()
	defer client.Close()
	request, err := http.NewRequestWithContext(t.Context(), c.htm, f.url+c.path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", token)
	request.Header.Set("Content-Type", c.contentType)
	go client.Write(c.body) // ends when the request has read it, or with the test
	response, err := f.http[false].Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	head := make([]byte, 5)
	if _, err := io.ReadFull(response.Body, head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, response.Body, int64(binary.BigEndian.Uint32(head[1:]))); err != nil {
		t.Fatal(err)
	}
	revoke()
	rest, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	response.Body = io.NopCloser(bytes.NewReader(rest))
	return read(t, c.contentType, response).status
}
