package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
)

const wantCalls = `CALL         TOKEN       STATUS           REASON             ERROR
GetOrder     read:orders OK               -                  -
GetOrder     none        Unauthenticated  MISSING_TOKEN      none
GetOrder     expired     Unauthenticated  TOKEN_EXPIRED      invalid_token
GetOrder     other API   Unauthenticated  WRONG_AUDIENCE     invalid_token
GetOrder     an ID token Unauthenticated  WRONG_TOKEN_TYPE   invalid_token
GetOrder     forged      Unauthenticated  BAD_SIGNATURE      invalid_token
GetOrder 2   read:orders NotFound         (by the handler)   -
DeleteOrder  read:orders PermissionDenied INSUFFICIENT_SCOPE insufficient_scope
ListOrders   read:orders OK               -                  -
ImportOrders permission  OK               -                  -
WatchOrders  no scope    OK               -                  -
ListProducts none        OK               -                  -
GetPrice     none        OK               -                  -
GetPrice     expired     Unauthenticated  TOKEN_EXPIRED      invalid_token
Health       none        OK               -                  -
Reflection   read:orders PermissionDenied METHOD_NOT_LISTED  -
GetOrder     new key     OK               -                  -
GetOrder     old key     OK               -                  -

The whole challenge of DeleteOrder, under the key www-authenticate:
  Bearer error="insufficient_scope", scope="admin"

ListOrders, ImportOrders, WatchOrders and Reflection are streams.
Key fetches by the server: 1.
18 of 18 calls ended as announced.
`

func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out); err != nil {
		t.Fatalf("run: %v\n%s", err, out.String())
	}
	for line := range strings.SplitSeq(out.String(), "\n") {
		if len(line) > 80 {
			t.Errorf("%d columns, want at most 80: %s", len(line), line)
		}
	}
	before, calls, _ := strings.Cut(out.String(), "CALL")
	if diff := cmp.Diff(wantCalls, "CALL"+calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	for _, want := range []string{
		"/orders.v1.Catalog/GetPrice     optional\n",
		"scopes: admin import:orders read:orders write:orders\n",
		"every method has a row",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo is\n  registered but has no row",
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

func TestPaint(t *testing.T) {
	const row = "GetOrder none Unauthenticated MISSING_TOKEN none\nHealth none OK - -\n"
	if got := paint(row, false); got != row {
		t.Errorf("without colour: %q", got)
	}
	const want = "GetOrder none \x1b[31mUnauthenticated\x1b[0m MISSING_TOKEN none\nHealth none \x1b[32mOK\x1b[0m - -\n"
	if got := paint(row, true); got != want {
		t.Errorf("with colour: %q, want %q", got, want)
	}
	null, err := os.Open(os.DevNull) // a character device, as a terminal is
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, test := range []struct {
		out           io.Writer
		noColor, term string
		want          bool
	}{
		{null, "", "xterm", true},
		{null, "1", "xterm", false},
		{null, "", "dumb", false},
		{new(bytes.Buffer), "", "xterm", false},
	} {
		t.Setenv("NO_COLOR", test.noColor)
		t.Setenv("TERM", test.term)
		if got := hasColor(test.out); got != test.want {
			t.Errorf("hasColor(%T) with NO_COLOR=%q and TERM=%s: %v", test.out, test.noColor, test.term, got)
		}
	}
}

func TestWrap(t *testing.T) {
	for text, want := range map[string]string{"": "", "a bb ccc": "a bb\nccc", "longword x": "longword\nx"} {
		if got := wrap(text, 4); got != want {
			t.Errorf("wrap(%q) = %q, want %q", text, got, want)
		}
	}
}
