package integration

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"connectrpc.com/vanguard/vanguardgrpc"
)

// node runs a script under node/ that takes an address, the descriptors and a
// token.
func (s *stage) node(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command(needNode(t), append([]string{"node/" + script}, args...)...)
	command.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.path("ca.pem"), "CA="+s.path("ca.pem"), "NO_PROXY=127.0.0.1")
	command.Env = append(command.Env, s.env...)
	return command
}

func TestGRPCurl(t *testing.T) {
	program := need(t, "grpcurl")
	s := newStage(t)
	call := func(token, method, body string) (string, int) {
		command := exec.Command(program, "-v", "-cacert", s.path("ca.pem"), "-protoset", s.descriptors, "-d", body)
		if token != "" {
			command.Args = append(command.Args, "-H", "authorization: Bearer "+token)
		}
		command.Args = append(command.Args, s.address, "orders.v1.Orders/"+method)
		output, _ := command.CombinedOutput() // the exit code is looked at
		return string(output), command.ProcessState.ExitCode()
	}
	for _, row := range []struct {
		name, token, method, body string
		exit                      int // 64 and the status
		want                      []string
	}{
		{"unary", s.token, "GetOrder", `{"id":"7"}`, 0, []string{`"item": "tea"`}},
		{"stream", s.token, "WatchOrders", `{"count":3}`, 0, []string{"received 3 responses"}},
		{"no token", "", "GetOrder", `{}`, 64 + 16, []string{"Code: Unauthenticated", `"reason": "MISSING_TOKEN"`, "www-authenticate: Bearer\n"}},
		{"no token, stream", "", "WatchOrders", `{}`, 64 + 16, []string{"Code: Unauthenticated", `"reason": "MISSING_TOKEN"`, "www-authenticate: Bearer\n"}},
		{"insufficient scope", s.token, "CreateOrder", `{}`, 64 + 7, []string{"Code: PermissionDenied", `"reason": "INSUFFICIENT_SCOPE"`, `www-authenticate: Bearer error="insufficient_scope"`}},
	} {
		output, exit := call(row.token, row.method, row.body)
		for _, want := range row.want {
			if !strings.Contains(output, want) {
				t.Errorf("%s: no %q in\n%s", row.name, want, output)
			}
		}
		if exit != row.exit {
			t.Errorf("%s: exit code %d, want %d", row.name, exit, row.exit)
		}
	}
	summarize(t, "Go: exit code, Code, Details, headers and trailers")
}

func TestGRPCJS(t *testing.T) {
	s := newStage(t)
	s.check(t, "grpc-js", s.node(t, "grpcjs.mjs", s.address, s.descriptors, s.token, "tls"), nativeWanted())
	summarize(t, "Node.js: error.code, error.details, error.metadata")
}

// Through nginx, which terminates TLS or speaks plain HTTP/2, and is a separate client
// of the server.
func TestNginx(t *testing.T) {
	s := newStage(t)
	secure, plain := startNginx(t, s)
	s.check(t, "grpc-js through nginx over h2c", s.node(t, "grpcjs.mjs", plain, s.descriptors, s.token, "plain"), nativeWanted())
	s.check(t, "connect-node through nginx over TLS", s.node(t, "connect.mjs", "grpc", "https://"+secure, s.descriptors, s.token), doubled(wanted))
	summarize(t, "grpc-js over h2c and connect-node over TLS by grpc_pass: as without it")
}

// startNginx returns the addresses at which it takes gRPC over TLS and over plain
// HTTP/2.
func startNginx(t *testing.T, s *stage) (secure, plain string) {
	t.Helper()
	program := need(t, "nginx")
	secure, plain = fmt.Sprintf("127.0.0.1:%d", freePort(t)), fmt.Sprintf("127.0.0.1:%d", freePort(t))
	text, err := os.ReadFile("nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "nginx.conf", strings.NewReplacer("DIR", s.dir, "SECURE", secure, "PLAIN", plain, "UPSTREAM", s.address).Replace(string(text)))
	launch(t, secure, exec.Command(program, "-p", s.dir, "-e", "stderr", "-c", s.path("nginx.conf")))
	return secure, plain
}

// gRPC-Web and Connect clients, through a gateway in front of the server's
// ServeHTTP.
func TestConnect(t *testing.T) {
	s := newStage(t)
	gateway, err := vanguardgrpc.NewTranscoder(s.grpc)
	if err != nil {
		t.Fatal(err)
	}
	front := s.serveHTTP(t, gateway)
	s.check(t, "connect-node by gRPC-Web", s.node(t, "connect.mjs", "grpc-web", front, s.descriptors, s.token), wanted)
	s.check(t, "connect-node by Connect", s.node(t, "connect.mjs", "connect", front, s.descriptors, s.token), wanted)
	summarize(t, "Node.js: ConnectError code, findDetails, metadata; by gRPC-Web and Connect")
}

// serveHTTP serves a handler over TLS and returns its address.
func (a *authority) serveHTTP(t *testing.T, handler http.Handler) string {
	t.Helper()
	front := httptest.NewUnstartedServer(handler)
	front.EnableHTTP2 = true
	front.TLS = a.trusting(a.server)
	front.StartTLS()
	t.Cleanup(front.Close)
	return front.URL
}

func TestPython(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which python3-grpcio is for
	if err := exec.Command(python, "-c", "import grpc, google.protobuf").Run(); err != nil {
		missing(t, "Debian's python3-grpcio is not installed")
	}
	s := newStage(t)
	command := exec.Command(python, "python/client.py", s.address, s.descriptors, s.token, s.path("ca.pem"))
	command.Env = append(os.Environ(), s.env...)
	s.check(t, "grpcio", command, nativeWanted())
	summarize(t, "Python: error.code(), error.details(), error.trailing_metadata()")
}
