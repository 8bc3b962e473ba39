package integration

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func TestDoorsConnectNode(t *testing.T) {
	reports := startDoors(t).visit(t, "doors_connect.mjs")
	for name, report := range reports {
		t.Run(name, func(t *testing.T) { report.check(t, strings.Contains(name, "HTTP/2")) })
	}
	if len(reports) != 10 {
		t.Errorf("%d reports, want 10", len(reports))
	}
}

func TestDoorsGRPCJS(t *testing.T) {
	d := startDoors(t)
	reports := d.visit(t, "doors_grpcjs.mjs")
	report := reports["grpc-js"]
	checkRefusal(t, "stream of the client", "scope", report.ScopeStream)
	report.check(t, true)
}

func TestDoorsGRPCWeb(t *testing.T) {
	reports := startDoors(t).visit(t, "doors_grpcweb.mjs")
	for name, report := range reports {
		t.Run(name, func(t *testing.T) { report.check(t, false) })
	}
	if len(reports) != 2 {
		t.Errorf("%d reports, want 2", len(reports))
	}
}

// TestDoorsGRPCurl calls the gRPC door.
func TestDoorsGRPCurl(t *testing.T) {
	program := need(t, "grpcurl")
	d := startDoors(t)
	command := func(token, body, method string) *exec.Cmd {
		command := exec.Command(program, "-plaintext", "-v", "-protoset", d.descriptors, "-d", body)
		if token != "" {
			command.Args = append(command.Args, "-H", "authorization: Bearer "+d.token(token))
		}
		command.Args = append(command.Args, d.address, "doors.v1.Orders/"+method)
		return command
	}
	for _, row := range []struct {
		name, token, method, body string
		exit                      int // 64 and the status
		want                      []string
	}{
		{"unary", "READER", "GetOrder", `{"id":"1"}`, 0, []string{`"product": "tea"`}},
		{"stream", "READER", "ListOrders", `{}`, 0, []string{`"product": "tea"`}},
		{"both directions", "READER", "WatchOrders", `{"id":"1"} {"id":"1"}`, 0, []string{"Sent 2 requests and received 2 responses"}},
		{"stream of the client", "WRITER", "ImportOrders", `{"product":"tea"} {"product":"tea"}`, 0, []string{`"imported": 2`}},
		{"no token", "", "GetOrder", `{"id":"1"}`, 64 + 16, []string{"Code: Unauthenticated", `"reason": "MISSING_TOKEN"`, "www-authenticate: Bearer resource_metadata="}},
		{"no token, both directions", "", "WatchOrders", `{"id":"1"}`, 64 + 16, []string{"Code: Unauthenticated", `"reason": "MISSING_TOKEN"`}},
		{"expired", "EXPIRED", "GetOrder", `{"id":"1"}`, 64 + 16, []string{`"reason": "TOKEN_EXPIRED"`, `Bearer error="invalid_token"`}},
		{"another API", "OTHER_API", "GetOrder", `{"id":"1"}`, 64 + 16, []string{`"reason": "WRONG_AUDIENCE"`}},
		{"scope", "READER", "CreateOrder", `{"product":"tea"}`, 64 + 7, []string{"Code: PermissionDenied", `"reason": "INSUFFICIENT_SCOPE"`, `scope="write:orders"`}},
		{"scope, stream of the client", "READER", "ImportOrders", `{"product":"tea"}`, 64 + 7, []string{`"reason": "INSUFFICIENT_SCOPE"`}},
		{"unlisted", "READER", "Drop", `{}`, 64 + 7, []string{"Code: PermissionDenied", `"reason": "METHOD_NOT_LISTED"`}},
		{"outage", "OUTAGE", "GetOrder", `{"id":"1"}`, 64 + 14, []string{"Code: Unavailable", `"reason": "KEYS_UNAVAILABLE"`, "grpc-retry-pushback-ms"}},
	} {
		command := command(row.token, row.body, row.method)
		output, _ := command.CombinedOutput() // the exit code is looked at
		for _, want := range row.want {
			if !strings.Contains(string(output), want) {
				t.Errorf("%s: no %q in\n%s", row.name, want, output)
			}
		}
		if exit := command.ProcessState.ExitCode(); exit != row.exit {
			t.Errorf("%s: exit code %d, want %d", row.name, exit, row.exit)
		}
	}

	watching := run(t, command("READER", "@", "WatchOrders"))
	if _, err := fmt.Fprintln(watching.input, `{"id":"1"}`); err != nil {
		t.Fatal(err)
	}
	watching.expect(t, `  "product": "tea"`)
	d.revoke(t)
	_ = watching.input.Close() // grpcurl reads it before it looks at the status
	<-watching.done
	_ = watching.command.Wait() // the exit code is looked at
	if said := watching.stderr.String(); watching.command.ProcessState.ExitCode() != 64+16 || !strings.Contains(said, "TOKEN_REVOKED") {
		t.Errorf("revoked: exit code %d\n%s", watching.command.ProcessState.ExitCode(), said)
	}
	summarize(t, "all four shapes; exit code, reason, challenge, retry; an open stream ends by a revocation")
}

// A curlDoor is a request to a door for one order, or for one more.
type curlDoor struct {
	name, get, create, drop string // arguments of curl, by spaces
}

var bodyArgument = regexp.MustCompile(` -d\S+ `)

// TestDoorsCurl calls the doors of unary HTTP, over HTTP/1.1 and HTTP/2.
func TestDoorsCurl(t *testing.T) {
	program := need(t, "curl")
	d := startDoors(t)
	const post, method = "-HContent-Type:application/json -d", "/doors.v1.Orders/"
	for _, door := range []curlDoor{
		{"Connect v2", post + `{"id":"1"} ` + method + "GetOrder", post + `{"product":"tea"} ` + method + "CreateOrder", post + "{} " + method + "Drop"},
		{"Connect v1", post + `{"id":"1"} /connect-v1` + method + "GetOrder", post + `{"product":"tea"} /connect-v1` + method + "CreateOrder", post + "{} /connect-v1" + method + "Drop"},
		{"Connect v2, GET", method + `GetOrder?connect=v1&encoding=json&message=%7B%22id%22%3A%221%22%7D`, "", ""},
		{"Connect v1, GET", "/connect-v1" + method + `GetOrder?connect=v1&encoding=json&message=%7B%22id%22%3A%221%22%7D`, "", "/connect-v1" + method + "Drop?connect=v1"},
		{"grpc-gateway", "/v1/orders/1", post + `{"product":"tea"} /v1/orders`, ""},
		{"grpc-gateway, POST", post + `{"id":"1"} /v1/orders:get`, "", ""},
		{"plain HTTP", "/plain/orders/1", "", "/plain/drop"},
	} {
		for _, version := range []string{"--http1.1", "--http2-prior-knowledge"} {
			t.Run(door.name+" "+version[2:], func(t *testing.T) {
				call := func(token, request string) (status, header, body string) {
					args := strings.Fields(request)
					args[len(args)-1] = "http://" + d.address + args[len(args)-1]
					command := exec.Command(program, append([]string{"-sS", "-i", "--noproxy", "*", version}, args...)...)
					if token != "" {
						command.Args = append(command.Args, "-HAuthorization: Bearer "+d.token(token))
					}
					output, err := command.CombinedOutput()
					if err != nil {
						t.Fatalf("%v: %s", err, output)
					}
					header, body, _ = strings.Cut(string(output), "\r\n\r\n")
					line, header, _ := strings.Cut(header, "\r\n")
					return strings.Fields(line)[1], header, body
				}
				summarize(t, "status, reason, challenge, Retry-After")
				if status, _, body := call("READER", door.get); status != "200" || !strings.Contains(body, "tea") {
					t.Errorf("good: %s %s", status, body)
				}
				// Without a body: Go resets an HTTP/2 stream after an answer that came before the end of
				// the body, and curl 7.88 then loses the answer.
				refused := func(request string) string {
					if version == "--http1.1" {
						return request
					}
					return bodyArgument.ReplaceAllString(request, " -XPOST ")
				}
				for kind, test := range map[string]struct{ token, request, status string }{
					"missing": {"", door.get, "401"}, "expired": {"EXPIRED", door.get, "401"}, "outage": {"OUTAGE", door.get, "503"},
					"scope": {"READER", door.create, "403"}, "unlisted": {"READER", door.drop, "403"},
				} {
					if test.request == "" {
						continue
					}
					want := doorWants[kind]
					status, header, body := call(test.token, refused(test.request))
					if status != test.status || !strings.Contains(body, `"reason":"`+want.reason+`"`) {
						t.Errorf("%s: %s %s, want %s %s", kind, status, body, test.status, want.reason)
					}
					header = strings.ToLower(header)
					if !strings.Contains(header, strings.ToLower(want.challenge)) || strings.Contains(header, "www-authenticate") != (want.challenge != "") {
						t.Errorf("%s: header %s, want %s", kind, header, want.challenge)
					}
					if strings.Contains(header, "retry-after: ") != (kind == "outage") {
						t.Errorf("%s: header %s", kind, header)
					}
				}
			})
		}
	}
}
