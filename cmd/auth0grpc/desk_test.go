package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// freePort returns a port that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// deskFile writes the built-in configuration with a free port and a certificate file in
// a folder of the test.
func deskFile(t *testing.T) (name string, port int, certificate string) {
	t.Helper()
	port, certificate = freePort(t), filepath.Join(t.TempDir(), "tenant.pem")
	text := strings.ReplaceAll(string(defaultDeskConfig), "8443", fmt.Sprint(port))
	return file(t, strings.Replace(text, `"tenant.pem"`, fmt.Sprintf("%q", certificate), 1)), port, certificate
}

// runningTenant runs the tenant subcommand until the test ends, and returns its output so
// far once the tenant serves.
func runningTenant(t *testing.T, config string) (stdout string) {
	t.Helper()
	reader, writer := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		ended <- run(ctx, []string{"tenant", "-config", config}, os.Getenv, strings.NewReader(""), writer, &stderr)
		_ = writer.Close()
	}()
	t.Cleanup(func() {
		stop()
		if status := <-ended; status != exitOK {
			t.Errorf("status %d\n%s", status, &stderr)
		}
	})
	var out strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(out.String(), "Ctrl-C") {
		n, err := reader.Read(buffer)
		out.Write(buffer[:n])
		if err != nil {
			t.Fatalf("the tenant does not start: %v\n%s\n%s", err, &out, &stderr)
		}
	}
	return out.String()
}

func wantMarked(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, deskMark) {
			t.Errorf("the line %q has no mark", line)
		}
	}
}

func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	var payload map[string]any
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", token)
	}
	text, err := decodeSegment(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &payload); err != nil {
		t.Fatal(err)
	}
	return payload
}

// A server that trusts the certificate file alone accepts the tokens of the token
// subcommand, by their scopes.
func TestTenantAndToken(t *testing.T) {
	config, port, certificate := deskFile(t)
	out := runningTenant(t, config)
	wantMarked(t, out)
	issuer := fmt.Sprintf("https://127.0.0.1:%d/", port)
	if !strings.Contains(out, issuer) {
		t.Errorf("the output does not name %s:\n%s", issuer, out)
	}
	client, err := trustFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{issuer}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: client,
		Methods: map[string]auth0grpc.Rule{auth0grpc.HealthService: auth0grpc.Scopes("write:orders")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want map[string]any // some claims
		code codes.Code
	}{
		{
			[]string{"-user", "alice"},
			map[string]any{"sub": "auth0|alice", "scope": "read:orders write:orders", "aud": auth0grpctest.Audience, "development_only": true}, codes.OK,
		},
		{[]string{"-user", "alice", "-scope", "read:orders", "-client", "orders-cli"}, map[string]any{"scope": "read:orders", "azp": "orders-cli"}, codes.PermissionDenied},
		{[]string{"-user", "bob"}, map[string]any{"sub": "auth0|bob", "org_id": "org_development", "permissions": []any{"read:orders"}}, codes.PermissionDenied},
		{[]string{"-client", "orders-worker"}, map[string]any{"sub": "orders-worker@clients", "azp": "orders-worker", "gty": "client-credentials"}, codes.OK},
		{[]string{"-user", "alice", "-lifetime", "-30s"}, nil, codes.Unauthenticated},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			status, stdout, stderr := command(t, nil, append([]string{"token", "-config", config}, test.args...)...)
			if status != exitOK || strings.Count(stdout, "\n") != 1 {
				t.Fatalf("status %d, stdout %q, stderr %q", status, stdout, stderr)
			}
			wantMarked(t, stderr)
			token := strings.TrimSpace(stdout)
			got := claims(t, token)
			for name, want := range test.want {
				if diff := cmp.Diff(want, got[name]); diff != "" {
					t.Errorf("claim %s (-want +got):\n%s", name, diff)
				}
			}
			if lifetime := got["exp"].(float64) - got["iat"].(float64); test.code != codes.Unauthenticated && lifetime != 600 {
				t.Errorf("the token lives %v seconds, want 600", lifetime)
			}
			wantCode(t, guard, token, test.code)
		})
	}
	// The token endpoint gives the client the same claims.
	response, err := client.PostForm(issuer+"oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"orders-worker"}, "client_secret": {"development-secret"}, "audience": {auth0grpctest.Audience},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	_, stdout, _ := command(t, nil, "token", "-config", config, "-client", "orders-worker")
	own, real := claims(t, strings.TrimSpace(stdout)), claims(t, answer.AccessToken)
	for _, name := range []string{"iat", "exp", "development_only"} {
		delete(own, name)
		delete(real, name)
	}
	if diff := cmp.Diff(real, own); diff != "" {
		t.Errorf("claims of a client's token (-endpoint +token subcommand):\n%s", diff)
	}
}

// wantCode calls a server with the token.
func wantCode(t *testing.T, guard *auth0grpc.Interceptor, token string, want codes.Code) {
	t.Helper()
	server := grpc.NewServer(guard.ServerOptions()...)
	healthv1.RegisterHealthServer(server, health.NewServer())
	_, err := healthv1.NewHealthClient(auth0grpctest.Connect(t, server, token)).Check(t.Context(), &healthv1.HealthCheckRequest{})
	if got := status.Code(err); got != want {
		t.Errorf("a call with the token: %v, want %v", err, want)
	}
}

func TestTokenErrors(t *testing.T) {
	config, _, _ := deskFile(t)
	args := []string{"token", "-config", config}
	if status, _, stderr := command(t, nil, append(args, "-user", "alice")...); status != exitUsage || !strings.Contains(stderr, "is the tenant running") {
		t.Errorf("without a tenant: status %d, stderr %q", status, stderr)
	}
	runningTenant(t, config)
	for _, test := range []struct {
		args []string
		says string
	}{
		{nil, "want -user or -client"},
		{[]string{"-user", "carol"}, `no user "carol"; there are: alice bob`},
		{[]string{"-client", "x"}, `no client "x"; there are: orders-cli orders-events orders-worker`},
		{[]string{"-client", "orders-cli"}, "want -user"},
		{[]string{"-user", "alice", "-audience", "https://other.example"}, "want -audience with one of: https://api.example.com"},
		{[]string{"-user", "bob", "-scope", "read:orders write:orders"}, `scope "write:orders" is not granted; granted are: read:orders`},
		{[]string{"-user", "bob", "-lifetime", "x"}, "want a duration"},
		{[]string{"-user", "bob", "-lifetime", "99999h"}, "want a duration"},
		{[]string{"-nope"}, "-nope"},
		{[]string{"extra"}, "extra"},
		{[]string{"-config", "no/such/file"}, "no/such/file"},
	} {
		status, stdout, stderr := command(t, nil, append(args, test.args...)...)
		if status != exitUsage || stdout != "" || !strings.Contains(stderr, test.says) {
			t.Errorf("%v: status %d, stdout %q, stderr %q; want %q", test.args, status, stdout, stderr, test.says)
		}
		wantMarked(t, stderr)
	}
	if status, _, stderr := command(t, nil, "token", "-h"); status != exitOK || !strings.Contains(stderr, "-lifetime") {
		t.Errorf("-h: status %d\n%s", status, stderr)
	} else {
		wantMarked(t, stderr)
	}
}

// The tenant reports why it cannot start, and replaces no file but a certificate.
func TestTenantErrors(t *testing.T) {
	precious := file(t, "package main\n")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	const document = `{"port": %d, "certificate": %q, "tokenLifetime": "1m"}`
	taken := fmt.Sprintf(document, listener.Addr().(*net.TCPAddr).Port, filepath.Join(t.TempDir(), "x.pem"))
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"-config", file(t, taken)}, "address already in use"},
		{[]string{"-config", file(t, fmt.Sprintf(document, freePort(t), precious))}, "is no certificate"},
		{[]string{"-config", file(t, fmt.Sprintf(document, freePort(t), filepath.Join(t.TempDir(), "no", "such.pem")))}, "no such file"},
		{[]string{"-config", "no/such/file"}, "no/such/file"},
		{[]string{"extra"}, "extra"},
	} {
		status, stdout, stderr := command(t, nil, append([]string{"tenant"}, test.args...)...)
		if status != exitUsage || stdout != "" || !strings.Contains(stderr, test.says) {
			t.Errorf("%v: status %d, stdout %q, stderr %q; want %q", test.args, status, stdout, stderr, test.says)
		}
		wantMarked(t, stderr)
	}
	if text, _ := os.ReadFile(precious); string(text) != "package main\n" {
		t.Errorf("the file is now %q", text)
	}
}

func TestDeskConfigFaults(t *testing.T) {
	_, err := parseDeskConfig("f.json", []byte(`{
  "port": 0, "Port": 1,
  "certificate": " x",
  "tokenLifetime": "1ms",
  "tokenLifetime": "1m",
  "apis": {"x": {}, "y": {"tokenLifetime": "800h", "scopes": []}},
  "clients": {"a": {"secret": 1, "scopes": {"x": ["b c", ""], "y": "z"}}, "": {}, "a": {}},
  "users": {"u|1": {"organization": "x", "subject": "", "scope": {}}, "v": []}
}`))
	want := `f.json: $.port: want a number from 1 to 65535
f.json: $.Port: is unknown; want one of apis, certificate, clients, port, tokenLifetime, users
f.json: $.certificate: want a string, not empty, without spaces around it
f.json: $.tokenLifetime: want a duration from "1s" to "720h"
f.json: $.tokenLifetime: is there twice
f.json: $.apis.x: has no member "tokenLifetime"
f.json: $.apis.y.tokenLifetime: want a duration from "1s" to "720h"
f.json: $.apis.y.scopes: is unknown; want one of tokenLifetime
f.json: $.clients.a.secret: want a string, not empty, without spaces around it
f.json: $.clients.a.scopes.x[0]: want a name of visible ASCII characters other than " and \
f.json: $.clients.a.scopes.x[1]: want a name of visible ASCII characters other than " and \
f.json: $.clients.a.scopes.y: want a list of strings
f.json: $.clients[""]: the name is empty
f.json: $.clients.a: is there twice
f.json: $.users["u|1"].organization: want an organization id, "org_…"
f.json: $.users["u|1"].subject: want a string, not empty, without spaces around it
f.json: $.users["u|1"].scope: is unknown; want one of organization, permissions, scopes, subject
f.json: $.users.v: want an object in UTF-8`
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	for document, want := range map[string]string{
		"{\n  \"port\": 1,,\n}": "f.json:2:13: ",
		"":                      "f.json:1:1: ",
		"[]":                    "f.json: $: want an object in UTF-8",
		"{}":                    `f.json: $: has no member "port"`,
		"\ufeff{}":              `f.json: $: has no member "certificate"`,
		`{"users":` + strings.Repeat(`{"a":`, 99) + "1" + strings.Repeat("}", 100): "f.json: $: is nested too deeply",
	} {
		if _, err := parseDeskConfig("f.json", []byte(document)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", document, err, want)
		}
	}
	if config, err := readDeskConfig(""); err != nil || config.lifetime != 10*time.Minute || config.port != 8443 {
		t.Errorf("the built-in configuration: %+v, %v", config, err)
	}
}
