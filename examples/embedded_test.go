// Package examples_test runs the server and the client as a user would, as
// programs of their own, against the tenant of auth0grpctest.
package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

func TestServerAndClient(t *testing.T) {
	if runtime.GOOS == "darwin" || runtime.GOOS == "windows" {
		t.Skip("SSL_CERT_FILE, by which the programs trust the tenant, has no effect on " + runtime.GOOS)
	}
	tenant := auth0grpctest.NewTenant(t)
	tenant.AddClient("machine", "secret", map[string][]string{auth0grpctest.Audience: {"read:orders", "write:orders"}})
	tenant.AddClient("reader", "secret", map[string][]string{auth0grpctest.Audience: {"read:orders"}})
	tenant.AddClient("device", "", map[string][]string{auth0grpctest.Audience: {"read:orders", "write:orders"}})
	tenant.AutoApproveDevices(1)

	programs := build(t)
	environment := environmentOf(t, tenant)
	serverCert := filepath.Join(t.TempDir(), "server.pem")
	addr, stop := startServer(t, programs, environment, serverCert)
	awaitHealthy(t, addr, serverCert)

	client := func(t *testing.T, id, secret string, args ...string) (stdout, stderr string, err error) {
		t.Helper()
		command := exec.Command(filepath.Join(programs, "client"), append([]string{"-addr", addr, "-ca", serverCert}, args...)...)
		command.Env = append(environment, "AUTH0_CLIENT_ID="+id, "AUTH0_CLIENT_SECRET="+secret)
		var out, errs bytes.Buffer
		command.Stdout, command.Stderr = &out, &errs
		err = command.Run()
		return out.String(), errs.String(), err
	}
	t.Run("client credentials", func(t *testing.T) {
		got, stderr, err := client(t, "machine", "secret")
		if err != nil {
			t.Fatalf("client: %v\n%s", err, stderr)
		}
		want := "made    1: tea for machine@clients\nlisted  1: tea for machine@clients\n"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
	t.Run("device flow", func(t *testing.T) {
		got, stderr, err := client(t, "device", "", "-device")
		if err != nil {
			t.Fatalf("client: %v\n%s", err, stderr)
		}
		// The machine's order is not listed: it is not this user's.
		want := "made    2: tea for " + auth0grpctest.Subject + "\nlisted  2: tea for " + auth0grpctest.Subject + "\n"
		invitation, got, _ := strings.Cut(got, "\n")
		if !strings.HasPrefix(invitation, "open "+tenant.Issuer()+"activate?user_code=") {
			t.Errorf("first line is %q, want the address to open", invitation)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
	for _, row := range []struct{ name, id, secret, want string }{
		{"without the scope", "reader", "secret", "INSUFFICIENT_SCOPE"},
		{"wrong secret", "machine", "guess", "client credentials: "},
		{"nothing set", "", "", "AUTH0_CLIENT_ID, AUTH0_CLIENT_SECRET"},
	} {
		t.Run(row.name, func(t *testing.T) {
			stdout, stderr, err := client(t, row.id, row.secret)
			if err == nil || stdout != "" || !strings.Contains(stderr, row.want) {
				t.Errorf("client: %v, want a failure that says %q\nstdout: %s\nstderr: %s", err, row.want, stdout, stderr)
			}
		})
	}
	stop()
}

func TestServerSettings(t *testing.T) {
	server := filepath.Join(build(t), "server")
	for _, row := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"nothing set", nil, nil, "AUTH0_DOMAIN, AUTH0_AUDIENCE"},
		{"no certificate", []string{"AUTH0_DOMAIN=tenant.example", "AUTH0_AUDIENCE=api"}, nil, "-self-signed"},
		{"no key", []string{"AUTH0_DOMAIN=tenant.example", "AUTH0_AUDIENCE=api"}, []string{"-cert", "server.pem"}, "server.pem"},
	} {
		t.Run(row.name, func(t *testing.T) {
			command := exec.Command(server, row.args...)
			command.Env = row.env
			out, err := command.CombinedOutput()
			if err == nil || !strings.Contains(string(out), row.want) {
				t.Errorf("server: %v, want a failure that says %q\n%s", err, row.want, out)
			}
		})
	}
}

// build compiles both programs and returns the directory that they are in.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./server", "./client").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return dir
}

// environmentOf returns the environment that a user would set, and trust in the
// tenant's certificate, which Auth0's does not need.
func environmentOf(t *testing.T, tenant *auth0grpctest.Tenant) []string {
	t.Helper()
	issuer, err := url.Parse(tenant.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tenant.pem")
	if err := os.WriteFile(file, tenant.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"AUTH0_DOMAIN=" + issuer.Host, "AUTH0_AUDIENCE=" + auth0grpctest.Audience, "SSL_CERT_FILE=" + file}
}

// startServer starts the server on a free port and returns its address, and a
// function that asks it to stop and asserts that it does so in order.
func startServer(t *testing.T, programs string, environment []string, certFile string) (addr string, stop func()) {
	t.Helper()
	server := exec.Command(filepath.Join(programs, "server"), "-addr", "127.0.0.1:0", "-self-signed", certFile)
	server.Env = environment
	server.Stderr = t.Output()
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // neither has an effect after stop
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	lines := bufio.NewReader(stdout)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("server: %v", err)
	}
	addr, ok := strings.CutPrefix(strings.TrimSpace(first), "serving on ")
	if !ok {
		t.Fatalf("server: %q, want its address", first)
	}
	return addr, func() {
		t.Helper()
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(lines)
		if err := server.Wait(); err != nil {
			t.Errorf("server: %v, want a stop in order", err)
		}
		if want := "stopped\n"; string(rest) != want {
			t.Errorf("server wrote %q, want %q", rest, want)
		}
	}
}

// awaitHealthy returns when the server says that it has the tenant's keys.
func awaitHealthy(t *testing.T, addr, certFile string) {
	t.Helper()
	transport, err := credentials.NewClientTLSFromFile(certFile, "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(transport))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stream, err := healthv1.NewHealthClient(conn).Watch(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		health, err := stream.Recv()
		if err != nil {
			t.Fatalf("health: %v", err)
		}
		if health.GetStatus() == healthv1.HealthCheckResponse_SERVING {
			return
		}
	}
}
