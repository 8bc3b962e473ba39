package auth0grpclog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"google.golang.org/grpc/codes"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpclog"
)

// Three refusals of one kind, of which two are written one by one.
func Example() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "since" { // different in each run
			return slog.Attr{}
		}
		return a
	}}))
	decisions := auth0grpclog.New(auth0grpclog.Config{Logger: logger, Initial: 2})
	config := auth0grpc.Config{OnDecision: decisions.OnDecision, OnKeyRefresh: decisions.OnKeyRefresh} // and all the rest

	for range 3 { // as an Interceptor of that Config would log
		config.OnDecision(context.Background(), auth0grpc.Decision{
			Row: "/orders.v1.Orders/Get", Outcome: auth0grpc.OutcomeRefused,
			Reason: auth0grpc.ReasonMissingToken, Code: codes.Unauthenticated,
		})
	}
	decisions.Flush(context.Background())
	// Output:
	// level=INFO msg="auth0grpc: call refused" row=/orders.v1.Orders/Get reason=MISSING_TOKEN code=Unauthenticated cache_hit=false duration_ms=0
	// level=INFO msg="auth0grpc: call refused" row=/orders.v1.Orders/Get reason=MISSING_TOKEN code=Unauthenticated cache_hit=false duration_ms=0
	// level=INFO msg="auth0grpc: call refused, more of the same" row=/orders.v1.Orders/Get reason=MISSING_TOKEN code=Unauthenticated dropped=1
}

// A record of the second log has the facts of one call.
func ExampleParseLine() {
	file, logger := new(bytes.Buffer), slog.New(slog.DiscardHandler)
	var config auth0grpc.Config // and all the rest
	decisions := auth0grpclog.New(auth0grpclog.Config{Logger: logger, Facts: slog.New(slog.NewJSONHandler(file, nil))})
	config.OnDecision, config.RecordFacts = decisions.OnDecision, true

	config.OnDecision(context.Background(), auth0grpc.Decision{ // as an Interceptor of that Config calls it
		FullMethod: "/orders.v1.Orders/Get", Row: "/orders.v1.Orders/*", Outcome: auth0grpc.OutcomeAllowed, Policy: "0d4eb9a8c4f7a4a9",
		Facts: &auth0grpc.Facts{Verified: true, ClientID: "desk", Scopes: []string{"read:orders"}},
	})
	d, err := auth0grpclog.ParseLine(file.Bytes())
	fmt.Println(d.FullMethod, d.Outcome, d.Facts.ClientID, d.Facts.Scopes, err)

	_, err = auth0grpclog.ParseLine([]byte(`{"level":"INFO","msg":"another program"}`))
	fmt.Println(errors.Is(err, auth0grpclog.ErrNoDecision))
	// Output:
	// /orders.v1.Orders/Get allowed desk [read:orders] <nil>
	// true
}
