package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// An httpDoor is a door with a good request.
type httpDoor struct{ name, method, path, header, body string }

// httpDoors are the doors that a client of HTTP/1.1 can use.
var httpDoors = []httpDoor{
	{"Connect v2", "POST", get, "Content-Type: application/json\r\n", `{"id":"1"}`},
	{"Connect v1", "POST", "/connect-v1" + get, "Content-Type: application/json\r\n", `{"id":"1"}`},
	{"grpc-gateway", "GET", "/v1/orders/1", "", ""},
	{"plain HTTP", "GET", "/plain/orders/1", "", ""},
}

// serve starts the program's server, with a service that counts.
func serve(t *testing.T) (service *counted, address, token string) {
	t.Helper()
	tenant := auth0grpctest.NewTenant(t)
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: tenant.HTTPClient(), Methods: methods(),
	})
	if err != nil {
		t.Fatal(err)
	}
	service = new(counted)
	handler, err := newHandler(guard, service)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(handler)
	go server.Serve(listener) // ends with Close
	t.Cleanup(func() { _ = server.Close() })
	return service, listener.Addr().String(), tenant.Token(claims{"scope": "read:orders"})
}

// send sends text over a connection of its own, and returns the status.
func send(t *testing.T, address, method, text string) int {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode
}

// Unusual requests have a stated status at each door, with a good token and with none.
// Without a token no handler runs.
func TestBadInput(t *testing.T) {
	service, address, token := serve(t)
	authorization := "Authorization: Bearer " + token + "\r\n"
	for _, row := range []struct {
		name    string
		version string // default HTTP/1.1
		method  string // default: the door's
		header  string
		want    [4]int // with a token, for each door
		without [4]int // without the field authorization
	}{
		{name: "good", header: authorization, want: [4]int{200, 200, 200, 200}, without: [4]int{401, 401, 401, 401}},
		{name: "two Authorization fields", header: authorization + authorization, want: [4]int{401, 401, 401, 401}, without: [4]int{401, 401, 401, 401}},
		{name: "two fields, one empty", header: authorization + "Authorization:\r\n", want: [4]int{401, 401, 401, 401}, without: [4]int{401, 401, 401, 401}},
		{name: "a folded field", header: "Authorization: Bearer\r\n " + token + "\r\n", want: [4]int{200, 200, 200, 200}, without: [4]int{200, 200, 200, 200}},
		{name: "100 headers", header: authorization + strings.Repeat("X-Filler: x\r\n", 100), want: [4]int{200, 200, 200, 200}, without: [4]int{401, 401, 401, 401}},
		{name: "HTTP/1.0", version: "HTTP/1.0", header: authorization, want: [4]int{200, 200, 200, 200}, without: [4]int{401, 401, 401, 401}},
		{name: "HEAD", method: "HEAD", header: authorization, want: [4]int{405, 405, 403, 200}, without: [4]int{401, 401, 401, 401}},
		{name: "OPTIONS", method: "OPTIONS", header: authorization, want: [4]int{405, 405, 403, 403}, without: [4]int{401, 401, 401, 401}},
		{name: "preflight", method: "OPTIONS", header: authorization + "Origin: https://b.example\r\nAccess-Control-Request-Method: POST\r\n", want: [4]int{405, 405, 403, 403}, without: [4]int{401, 401, 401, 401}},
		{name: "upgrade to h2c", header: authorization + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", want: [4]int{200, 200, 200, 200}, without: [4]int{401, 401, 401, 401}},
		{name: "upgrade to WebSocket", header: authorization + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", want: [4]int{200, 200, 200, 200}, without: [4]int{401, 401, 401, 401}},
		{name: "method override", header: authorization + "X-HTTP-Method-Override: DELETE\r\n", want: [4]int{200, 200, 200, 200}, without: [4]int{401, 401, 401, 401}},
		{name: "planted metadata", header: "Grpc-Metadata-Authorization: bearer " + token + "\r\n", want: [4]int{401, 401, 401, 401}, without: [4]int{401, 401, 401, 401}},
	} {
		for i, door := range httpDoors {
			for _, with := range []bool{true, false} {
				header, want := row.header, row.want[i]
				if !with {
					header, want = strings.ReplaceAll(header, authorization, ""), row.without[i]
				}
				method, version := door.method, "HTTP/1.1"
				if row.method != "" {
					method = row.method
				}
				if row.version != "" {
					version = row.version
				}
				before := service.ran.Load()
				got := send(t, address, method, fmt.Sprintf("%s %s %s\r\nHost: %s\r\nConnection: close\r\n%s%sContent-Length: %d\r\n\r\n%s",
					method, door.path, version, address, header, door.header, len(door.body), door.body))
				if got != want {
					t.Errorf("%s at %s, with a token: %t: status %d, want %d", row.name, door.name, with, got, want)
				}
				if ran := service.ran.Load() - before; ran != map[bool]int64{true: 1}[want == 200] {
					t.Errorf("%s at %s, with a token: %t: the handler ran %d times", row.name, door.name, with, ran)
				}
			}
		}
	}
}

// HTTP/2 without TLS has the same answers, also for gRPC.
func TestH2C(t *testing.T) {
	service, address, token := serve(t)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	doors := append(slices.Clone(httpDoors), httpDoor{"gRPC", "POST", get, "Content-Type: application/grpc\r\n", string(frame([]byte("\n\x011")))})
	for _, door := range doors {
		for name, row := range map[string]struct {
			authorization []string
			status        int
			code          string // of gRPC
		}{
			"a token":    {[]string{"Bearer " + token}, 200, "0"},
			"no token":   {nil, 401, "16"},
			"two fields": {[]string{"Bearer " + token, "Bearer " + token}, 401, "16"},
		} {
			request, err := http.NewRequestWithContext(t.Context(), door.method, "http://"+address+door.path, strings.NewReader(door.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header["Authorization"] = row.authorization
			if _, contentType, ok := strings.Cut(strings.TrimSpace(door.header), ": "); ok {
				request.Header.Set("Content-Type", contentType)
			}
			before := service.ran.Load()
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			got, want := strconv.Itoa(response.StatusCode), strconv.Itoa(row.status)
			if door.name == "gRPC" {
				got, want = response.Trailer.Get("Grpc-Status")+response.Header.Get("Grpc-Status"), row.code
			}
			ran := service.ran.Load() - before
			if err != nil || response.ProtoMajor != 2 || got != want || (ran == 1) != (row.status == 200) {
				t.Errorf("%s with %s: %s over %s, want %s; the handler ran %d times: %v", door.name, name, got, response.Proto, want, ran, err)
			}
		}
	}
}
