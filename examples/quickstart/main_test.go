package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
)

const wantCalls = `CALL          TOKEN             STATUS            REASON              CHALLENGE
GetOrder      read:orders       OK                -                   -
GetOrder      none              Unauthenticated   MISSING_TOKEN       Bearer
GetOrder      expired           Unauthenticated   TOKEN_EXPIRED       Bearer error="invalid_token"
GetOrder      for another API   Unauthenticated   WRONG_AUDIENCE      Bearer error="invalid_token"
GetOrder      an ID token       Unauthenticated   WRONG_TOKEN_TYPE    Bearer error="invalid_token"
GetOrder      forged            Unauthenticated   BAD_SIGNATURE       Bearer error="invalid_token"
GetOrder 2    not the owner's   NotFound          (by the handler)    -
DeleteOrder   read:orders       PermissionDenied  INSUFFICIENT_SCOPE  Bearer error="insufficient_scope", scope="admin"
ListOrders    read:orders       OK                -                   -
ImportOrders  with permission   OK                -                   -
WatchOrders   without scope     OK                -                   -
ListProducts  none              OK                -                   -
GetPrice      none              OK                -                   -
GetPrice      expired           Unauthenticated   TOKEN_EXPIRED       Bearer error="invalid_token"
Health        none              OK                -                   -
Reflection    read:orders       PermissionDenied  METHOD_NOT_LISTED   -
GetOrder      rotated key, new  OK                -                   -
GetOrder      rotated key, old  OK                -                   -

ListOrders, ImportOrders, WatchOrders and Reflection are streams. Key fetches by the server: 1.
18 of 18 calls ended as announced.
`

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out); err != nil {
		t.Fatalf("run: %v\n%s", err, out.String())
	}
	before, calls, _ := strings.Cut(out.String(), "CALL")
	if diff := cmp.Diff(wantCalls, "CALL"+calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	for _, want := range []string{
		"/orders.v1.Catalog/GetPrice     optional\n",
		"scopes: admin import:orders read:orders write:orders\n",
		"every method has a row",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo is registered but has no row",
	} {
		if !strings.Contains(before, want) {
			t.Errorf("output lacks %q:\n%s", want, before)
		}
	}
}

func TestMakeCallsCountsDifferences(t *testing.T) {
	ends := func(err error) sender {
		return func(context.Context) (metadata.MD, error) { return nil, err }
	}
	calls := []call{
		{method: "as announced", send: ends(nil), code: codes.OK},
		{method: "passed", send: ends(nil), code: codes.Unauthenticated, reason: auth0grpc.ReasonTokenExpired},
		{method: "refused", send: ends(status.Error(codes.Unauthenticated, "")), code: codes.OK},
		{method: "without its reason", send: ends(status.Error(codes.PermissionDenied, "")), code: codes.PermissionDenied, reason: auth0grpc.ReasonMethodNotListed},
		{method: "broken off", send: ends(errors.New("no connection")), code: codes.OK},
	}
	var out bytes.Buffer
	if got, want := makeCalls(t.Context(), &out, calls), 4; got != want {
		t.Errorf("makeCalls counted %d differences, want %d:\n%s", got, want, out.String())
	}
}
