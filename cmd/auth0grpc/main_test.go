package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

const shopSet = "../../proto/testdata/shop.binpb"

// command runs the command as main does.
func command(t *testing.T, environment map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return commandWithInput(t, "", environment, args...)
}

// commandWithInput runs the command with standard input.
func commandWithInput(t *testing.T, stdin string, environment map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), args, func(name string) string { return environment[name] }, strings.NewReader(stdin), &out, &err)
	return status, out.String(), err.String()
}

// file writes a file and returns its name.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestStatus(t *testing.T) {
	const bare = `"/shop.v1.BareService/Do": {"authenticated": true}`
	complete := file(t, `{"methods": {`+bare+`}}`)
	tests := []struct {
		name   string
		args   []string
		status int
		says   []string // on either output
	}{
		{"complete", []string{"-descriptors", shopSet, "-policy", complete}, 0, []string{"/shop.v1.ShopService/Get", "read:shop AND read:price"}},
		{"policy alone", []string{"-policy", complete}, 0, []string{"/shop.v1.BareService/Do  authenticated"}},
		{"method without row", []string{"-descriptors", shopSet}, 1, []string{"FAULT  /shop.v1.BareService/Do is registered but has no row"}},
		{
			"row without method", []string{"-descriptors", shopSet, "-policy", file(t, `{"methods": {`+bare+`, "/shop.v1.BareService/Dp": {"public": true}}}`)}, 1,
			[]string{"FAULT  row /shop.v1.BareService/Dp matches no registered method; did you mean /shop.v1.BareService/Do?"},
		},
		{
			"rows of gRPC's own services", []string{"-descriptors", shopSet, "-policy", file(t, `{"methods": {`+bare+`, "/grpc.health.v1.Health/*": {"public": true}}}`)},
			0, []string{"/grpc.health.v1.Health/*"},
		},
		{"conflict", []string{"-descriptors", shopSet, "-policy", file(t, `{"methods": {"/shop.v1.ShopService/Get": {"public": true}}}`)}, 1, []string{"policy: /shop.v1.ShopService/Get: is"}},
		{"faulty policy", []string{"-policy", file(t, `{"methods": {"/a.B/C": {"scopes": [""]}}}`)}, 1, []string{"policy: 1:36: "}},
		{"no rows", []string{"-policy", file(t, `{"methods": {}}`)}, 1, []string{"Config.Methods is required"}},
		{"empty policy", []string{"-policy", file(t, ``)}, 1, []string{"policy: 1:1: "}},
		{"bound rows", []string{"-policy", file(t, `{"methods": {"/a.B/C": {"authenticated": true, "requireDPoP": true, "requireMTLS": true}}}`)}, 0, []string{"/a.B/C"}},
		{
			"scope not defined", []string{"-descriptors", shopSet, "-policy", complete, "-defined", "read:shop,read:price write:shop admin import:shop export:shop old:shop refund:shop"}, 1,
			[]string{"FAULT  scope trial:shop is not defined", "note   scope old:shop is used by no method"},
		},
		{"all scopes defined, and more", []string{"-policy", complete, "-defined", "a b"}, 0, []string{"note   scope a is used", "note   scope b is used"}},
		{"none defined", []string{"-descriptors", shopSet, "-policy", complete, "-defined", ""}, 1, []string{"FAULT  scope admin is not defined"}},
		{"faults beside a format", []string{"-descriptors", shopSet, "-format", "json"}, 1, []string{`"value": "admin"`, "FAULT"}},
		{"help", []string{"-h"}, 0, []string{"-policy file"}},
		{"nothing", nil, 2, []string{"want -policy"}},
		{"argument", []string{"-policy", complete, "x"}, 2, []string{`"x"`}},
		{"unknown flag", []string{"-x"}, 2, []string{"-x"}},
		{"unknown format", []string{"-policy", complete, "-format", "yaml"}, 2, []string{"yaml"}},
		{"two sources", []string{"-descriptors", shopSet, "-reflect", "localhost:1"}, 2, []string{"want one of"}},
		{"plaintext to nowhere", []string{"-policy", complete, "-insecure-plaintext"}, 2, []string{"-insecure-plaintext"}},
		{"no such file", []string{"-policy", "no/such/file"}, 2, []string{"no/such/file"}},
		{"no descriptors", []string{"-descriptors", complete}, 2, []string{"not a descriptor set"}},
		{"nobody there", []string{"-reflect", "127.0.0.1:1", "-insecure-plaintext"}, 2, []string{"reflection: "}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, stdout, stderr := command(t, nil, test.args...)
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			for _, text := range test.says {
				if !strings.Contains(stdout+stderr, text) {
					t.Errorf("does not say %q", text)
				}
			}
			if t.Failed() {
				t.Logf("stdout:\n%s\nstderr:\n%s", stdout, stderr)
			}
		})
	}
}

func TestFormats(t *testing.T) {
	document := file(t, `{"methods": {
		"/a.B/C": {"allOf": [{"scopes": ["read:a", "openid"]}, {"anyOf": [{"permissions": ["it's"]}, {"clients": ["x"]}]}]},
		"/a.B/D": {"anyScope": ["read:a", "${b}"]},
		"/a.B/E": {"anyPermission": ["%{c}"]}}}`)
	tests := []struct {
		format, audience, want string
	}{
		{"terraform", "", `resource "auth0_resource_server_scopes" "api" {
  resource_server_identifier = auth0_resource_server.api.identifier

  scopes {
    name = "$${b}"
  }

  scopes {
    name = "%%{c}"
  }

  scopes {
    name = "it's"
  }

  scopes {
    name = "read:a"
  }
}
`},
		{"auth0-cli", "", `auth0 apis update "$AUTH0_AUDIENCE" --scopes '${b},%{c},it'\''s,read:a'` + "\n"},
		{"auth0-cli", "https://api.example.com", `auth0 apis update 'https://api.example.com' --scopes '${b},%{c},it'\''s,read:a'` + "\n"},
		{"json", "", `{
  "scopes": [
    {
      "value": "${b}"
    },
    {
      "value": "%{c}"
    },
    {
      "value": "it's"
    },
    {
      "value": "read:a"
    }
  ]
}
`},
	}
	for _, test := range tests {
		t.Run(test.format, func(t *testing.T) {
			status, stdout, stderr := command(t, nil, "-policy", document, "-format", test.format, "-audience", test.audience)
			if diff := cmp.Diff(test.want, stdout); diff != "" || status != 0 {
				t.Errorf("status %d, output (-want +got):\n%s\n%s", status, diff, stderr)
			}
		})
	}
	if got, _ := terraform([]string{"a"}, "https://api.example.com"); !strings.Contains(got, `identifier = "https://api.example.com"`) {
		t.Errorf("terraform: the audience is missing:\n%s", got)
	}
}

func TestFormatsThatCannotSayIt(t *testing.T) {
	comma, none := file(t, `{"methods": {"/a.B/C": {"scopes": ["a,b"]}}}`), file(t, `{"methods": {"/a.B/C": {"public": true}}}`)
	for _, args := range [][]string{
		{"-policy", comma, "-format", "auth0-cli"},
		{"-policy", none, "-format", "auth0-cli"},
		{"-policy", none, "-format", "terraform"},
	} {
		if status, stdout, stderr := command(t, nil, args...); status != 1 || stdout != "" || stderr == "" {
			t.Errorf("%v: status %d, stdout %q, stderr %q", args, status, stdout, stderr)
		}
	}
}

// serve returns the address of a server with reflection.
func serve(t *testing.T, options ...grpc.ServerOption) string {
	t.Helper()
	server := newServer(options...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func newServer(options ...grpc.ServerOption) *grpc.Server {
	server := grpc.NewServer(options...)
	healthv1.RegisterHealthServer(server, health.NewServer())
	reflection.RegisterV1(server)
	return server
}

const whole = `{"methods": {"/grpc.health.v1.Health/*": {"public": true}, "/grpc.reflection.v1.ServerReflection/*": {"scopes": ["reflect"]}}}`

func TestReflection(t *testing.T) {
	address := serve(t)
	status, stdout, stderr := command(t, nil, "-policy", file(t, whole), "-reflect", address, "-insecure-plaintext")
	if status != 0 || !strings.Contains(stdout, "/grpc.health.v1.Health/*") {
		t.Errorf("status %d\n%s\n%s", status, stdout, stderr)
	}
	half := file(t, `{"methods": {"/grpc.health.v1.Health/Check": {"public": true}, "/a.B/*": {"public": true}}}`)
	status, stdout, stderr = command(t, nil, "-policy", half, "-reflect", address, "-insecure-plaintext")
	for _, text := range []string{
		"/grpc.health.v1.Health/Watch is registered but has no row",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo is registered but has no row",
		"row /a.B/* matches no registered method",
	} {
		if status != 1 || !strings.Contains(stdout, text) {
			t.Errorf("status %d, want 1 and %q\n%s\n%s", status, text, stdout, stderr)
		}
	}
}

// TestReflectionOfAProtectedServer is over TLS, with a token.
func TestReflectionOfAProtectedServer(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(),
		Methods: map[string]auth0grpc.Rule{auth0grpc.HealthService: auth0grpc.Public(), auth0grpc.ReflectionService: auth0grpc.Scopes("reflect")},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(newServer(guard.ServerOptions()...))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	args := []string{
		"-policy", file(t, whole), "-reflect", server.Listener.Addr().String(), "-ca", file(t, pemOf(server.Certificate())),
	}
	if status, stdout, stderr := command(t, nil, args...); status != 2 || !strings.Contains(stderr, "no access token") {
		t.Errorf("without a token: status %d\n%s\n%s", status, stdout, stderr)
	}
	token := tenant.Token(map[string]any{"scope": "reflect"})
	if status, stdout, stderr := command(t, map[string]string{tokenEnv: token}, args...); status != 0 {
		t.Errorf("with a token: status %d\n%s\n%s", status, stdout, stderr)
	}
	args = append(args, "-timeout", "1ns")
	if status, _, stderr := command(t, map[string]string{tokenEnv: token}, args...); status != 2 || strings.Contains(stderr, token) {
		t.Errorf("out of time: status %d, stderr %q", status, stderr)
	}
}

func pemOf(certificate *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
}
