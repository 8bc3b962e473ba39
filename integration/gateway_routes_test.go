package integration

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpchttp"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
	"github.com/auth0grpc/auth0grpc/integration/routesv1"
)

// routedService is the service behind the gateway. Its methods are the generated ones,
// whose error names the method that ran.
type routedService struct {
	routesv1.UnimplementedRoutesServer
}

// A routedGateway is grpc-gateway in process behind auth0grpchttp. It records the effects
// of its last request.
type routedGateway struct {
	name    string
	mux     *runtime.ServeMux
	decided []auth0grpc.Decision
	ran     string // the method of the service, or ""
	seen    metadata.MD
}

// routesDoor returns the middleware of grpc-gateway that decides on the route.
func routesDoor(t testing.TB, guard *auth0grpc.Interceptor) runtime.Middleware {
	t.Helper()
	routes, err := auth0grpchttp.GatewayRoutes(routesv1.File_routes_proto.Services().ByName("Routes"))
	if err != nil {
		t.Fatal(err)
	}
	door := auth0grpchttp.Middleware(guard, auth0grpchttp.Routes(func(r *http.Request) string {
		pattern, _ := runtime.HTTPPattern(r.Context())
		return r.Method + " " + pattern.String()
	}, routes))
	return func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, pathParams map[string]string) {
			door(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next(w, r, pathParams) })).ServeHTTP(w, r)
		}
	}
}

// A routedTenant has a table in which each method of routes.v1 needs a scope of its own.
type routedTenant struct {
	*auth0grpctest.Tenant
	methods []string // full methods, sorted
	without map[string]string
	all     string
}

func newRoutedTenant(t testing.TB) *routedTenant {
	t.Helper()
	r := &routedTenant{Tenant: auth0grpctest.NewTenant(t), without: map[string]string{}}
	descriptors := routesv1.File_routes_proto.Services().ByName("Routes").Methods()
	var scopes []string
	for i := range descriptors.Len() {
		name := string(descriptors.Get(i).Name())
		r.methods = append(r.methods, "/routes.v1.Routes/"+name)
		scopes = append(scopes, "run:"+name)
	}
	r.all = r.Token(map[string]any{"scope": strings.Join(scopes, " ")})
	for i, method := range r.methods {
		rest := slices.Delete(slices.Clone(scopes), i, i+1)
		r.without[method] = r.Token(map[string]any{"scope": strings.Join(rest, " ")})
	}
	return r
}

func (r *routedTenant) gateway(t testing.TB, name string, options ...runtime.ServeMuxOption) *routedGateway {
	t.Helper()
	g := &routedGateway{name: name}
	rules := map[string]auth0grpc.Rule{}
	for _, method := range r.methods {
		rules[method] = auth0grpc.Scopes("run:" + strings.TrimPrefix(method, "/routes.v1.Routes/"))
	}
	guard, err := auth0grpc.New(auth0grpc.Config{
		Issuers: []string{r.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: r.HTTPClient(), Methods: rules,
		OnDecision: func(_ context.Context, d auth0grpc.Decision) {
			if d.Outcome != auth0grpc.OutcomeEnded { // of requests that say that they are streams
				g.decided = append(g.decided, d)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.mux = runtime.NewServeMux(append(options, runtime.WithMiddlewares(routesDoor(t, guard)),
		runtime.WithErrorHandler(func(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
			if name, ok := strings.CutPrefix(status.Convert(err).Message(), "method "); ok {
				g.ran = "/routes.v1.Routes/" + strings.TrimSuffix(name, " not implemented")
				g.seen, _ = metadata.FromIncomingContext(ctx)
				if told, _ := runtime.RPCMethod(ctx); told != g.ran {
					t.Errorf("%s: grpc-gateway names %s, and %s ran", g.name, told, g.ran)
				}
			}
			w.WriteHeader(runtime.HTTPStatusFromCode(status.Code(err)))
		}))...)
	if err := routesv1.RegisterRoutesHandlerServer(context.Background(), g.mux, routedService{}); err != nil {
		t.Fatal(err)
	}
	return g
}

// serve sends a request, given as its text without an authorization, with a token.
// It reports whether the text is a request of HTTP.
func (g *routedGateway) serve(text, token string) (response *http.Response, ok bool) {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	if token != "" {
		head += "\r\nAuthorization: Bearer " + token
	}
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n" + body)))
	if err != nil {
		return nil, false
	}
	g.decided, g.ran, g.seen = nil, "", nil
	w := httptest.NewRecorder()
	g.mux.ServeHTTP(w, request)
	return w.Result(), true
}

// check asserts: if a method ran, it is the one method that was decided on, and was
// allowed; and without the scope of this method nothing runs.
func (g *routedGateway) check(t *testing.T, r *routedTenant, text string) (ran string) {
	t.Helper()
	if _, ok := g.serve(text, r.all); !ok {
		return ""
	}
	ran = g.ran
	if len(g.decided) > 1 {
		t.Errorf("%s: %q was decided on %d times", g.name, text, len(g.decided))
	}
	if ran == "" {
		return ""
	}
	if len(g.decided) != 1 || g.decided[0].FullMethod != ran || g.decided[0].Outcome != auth0grpc.OutcomeAllowed {
		t.Errorf("%s: %q ran %s, decided: %+v", g.name, text, ran, g.decided)
	}
	for name, token := range map[string]string{"the token without its scope": r.without[ran], "no token": ""} {
		if g.serve(text, token); g.ran != "" {
			t.Errorf("%s: %q with %s ran %s", g.name, text, name, g.ran)
		}
	}
	return ran
}

// gateways returns the gateway in all its ways of reading a path.
func (r *routedTenant) gateways(t testing.TB) (all []*routedGateway) {
	for name, mode := range map[string]runtime.UnescapingMode{
		"legacy": runtime.UnescapingModeLegacy, "all but reserved": runtime.UnescapingModeAllExceptReserved,
		"all but slash": runtime.UnescapingModeAllExceptSlash, "all": runtime.UnescapingModeAllCharacters,
	} {
		unescaping := runtime.WithUnescapingMode(mode)
		all = append(all,
			r.gateway(t, name, unescaping),
			r.gateway(t, name+", no fallback", unescaping, runtime.WithDisablePathLengthFallback()),
			r.gateway(t, name+", no override", unescaping, runtime.WithDisableHTTPMethodOverride()),
			r.gateway(t, name+", strict wildcards", unescaping, runtime.WithStrictDeepWildcardMatching(), runtime.WithLegacyHeaderMatching()))
	}
	return all
}

// routedTargets has a request for each route, and the method that it runs.
var routedTargets = map[string]string{
	"GET /": "GetRoot", "GET /v1/orders": "ListOrders", "GET /v1/orders/7": "GetOrder", "GET /v1/shelves/a/orders/7": "GetOrder",
	"POST /v1/orders": "CreateOrder", "POST /v1/shelves/a/orders": "CreateOrder", "PATCH /v1/orders/7": "UpdateOrder",
	"PATCH /v1/shelves/a/orders/7": "UpdateOrder", "PUT /v1/orders/7": "PutAnything", "DELETE /v1/orders/7": "DeleteOrder",
	"POST /v1/orders/7:cancel": "CancelOrder", "POST /v1/shelves/a/orders/7:cancel": "CancelOrder", "POST /v1/orders:cancel": "CancelOrders",
	"GET /v1/orders/7/items/2": "GetItem", "GET /v1/files/a/b": "ReadFile", "GET /v1/files": "ReadFile",
	"GET /v1/files/a/content": "ReadContent", "GET /v1/files/content": "ReadContent", "POST /v1/files/a/b": "WriteFile",
	"POST /v1/files/a/b:sign": "SignFile", "GET /v1/reports/7/latest/a/b": "GetReport", "PURGE /v1/orders/7": "PurgeOrder",
	"HEAD /v1/orders": "PurgeOrder", "PUT /": "PutAnything", "PUT /a/b": "PutAnything", "GET /v1/orders:watch": "WatchOrders",
}

// The door decides on each route of the real grpc-gateway by the method that the gateway
// runs, and refuses the others.
func TestGatewayRoutes(t *testing.T) {
	r := newRoutedTenant(t)
	g := r.gateway(t, "default")
	for target, name := range routedTargets {
		method := "/routes.v1.Routes/" + name
		text := target + " HTTP/1.1\r\nHost: a\r\n\r\n"
		response, _ := g.serve(text, r.all)
		ran := method
		if name == "WatchOrders" { // the gateway answers in process: streams are not supported
			ran = ""
		}
		if g.ran != ran || response.StatusCode != http.StatusNotImplemented || len(g.decided) != 1 || g.decided[0].FullMethod != method {
			t.Errorf("%s: %d ran %q, decided %+v, want %s", target, response.StatusCode, g.ran, g.decided, method)
		}
		for token, want := range map[string]int{"": http.StatusUnauthorized, r.without[method]: http.StatusForbidden} {
			if response, _ := g.serve(text, token); response.StatusCode != want || g.ran != "" {
				t.Errorf("%s: %d ran %q, want %d", target, response.StatusCode, g.ran, want)
			}
		}
	}
	for pattern, handler := range map[string]string{"/healthz": "HandlePath", "/v1/orders/{id}/raw": "HandlePath"} {
		if err := g.mux.HandlePath(http.MethodGet, pattern, func(http.ResponseWriter, *http.Request, map[string]string) { g.ran = handler }); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{"/healthz", "/v1/orders/7/raw"} {
		if response, _ := g.serve("GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n", r.all); response.StatusCode != http.StatusForbidden || g.ran != "" {
			t.Errorf("%s has no method: %d ran %q", target, response.StatusCode, g.ran)
		}
	}
	summarize(t, "grpc-gateway in process behind auth0grpchttp.Routes: %d routes by their own method, others refused", len(routedTargets))
}

// Random requests: escapes, dots, slashes, case, verbs, other HTTP methods, forms and
// override headers, in all ways of the gateway to read a path.
func TestGatewayRoutesAtRandom(t *testing.T) {
	r := newRoutedTenant(t)
	random := rand.New(rand.NewPCG(1, 2))
	ran := map[string]int{}
	for _, g := range r.gateways(t) {
		for range 1000 {
			if method := g.check(t, r, randomRequest(random)); method != "" {
				ran[method]++
			}
		}
	}
	total := 0
	for _, n := range ran {
		total += n
	}
	// WatchOrders has no handler in process, ReplaceOrder is hidden, NoRoute has no route.
	for _, method := range r.methods {
		name := strings.TrimPrefix(method, "/routes.v1.Routes/")
		if !slices.Contains([]string{"WatchOrders", "ReplaceOrder", "NoRoute"}, name) && ran[method] == 0 {
			t.Errorf("no request ran %s: %v", name, ran)
		}
	}
	summarize(t, "16000 random requests in 16 configurations of grpc-gateway: %d ran, each as the method decided on", total)
}

// randomRequest returns a request for a route, changed a few times.
func randomRequest(random *rand.Rand) string {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	targets := slices.Sorted(maps.Keys(routedTargets))
	method, path, _ := strings.Cut(pick(targets...), " ")
	for range random.IntN(4) {
		at := random.IntN(len(path) + 1)
		switch random.IntN(5) {
		case 0: // insert
			path = path[:at] + pick("/", "//", "/./", "/../", ":cancel", ":sign", "%2F", "%2f", "%252F", "%2e%2e", "%", "%zz", "%00", ";a=b", "?name=x", "%3A", ":", "%3acancel", "\\", "é", "+", "%20") + path[at:]
		case 1: // escape
			if at < len(path) {
				path = path[:at] + fmt.Sprintf("%%%02x", path[at]) + path[at+1:]
			}
		case 2: // cut
			path = path[:at]
		case 3: // case
			if at < len(path) {
				path = path[:at] + strings.ToUpper(path[at:at+1]) + path[at+1:]
			}
		case 4: // the path of another route behind it
			_, other, _ := strings.Cut(pick(targets...), " ")
			path += other
		}
	}
	if random.IntN(8) == 0 {
		path = "http://other.example" + path
	}
	if random.IntN(4) == 0 {
		method = pick("GET", "POST", "PUT", "PATCH", "DELETE", "PURGE", "HEAD", "OPTIONS", "get", "Post", "*", "FOO")
	}
	text := method + " " + path + " HTTP/1.1\r\nHost: a"
	if random.IntN(2) == 0 {
		text += "\r\nContent-Type: " + pick("application/x-www-form-urlencoded", "application/x-www-form-urlencoded; charset=utf-8", "application/json", "application/grpc")
	}
	for range random.IntN(2) {
		text += "\r\n" + pick("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL") + ": " +
			pick("GET", "delete", "PURGE", "PUT", "patch", "/v1/orders")
	}
	body := pick("", "{}", "name=7&order.id=8", "_method=DELETE")
	return fmt.Sprintf("%s\r\nContent-Length: %d\r\n\r\n%s", text, len(body), body)
}

// For any request, the method that runs is the method that the door allowed.
func FuzzGatewayRoutes(f *testing.F) {
	r := newRoutedTenant(f)
	gateways := r.gateways(f)
	for target := range routedTargets {
		method, path, _ := strings.Cut(target, " ")
		f.Add(method, path, "")
		f.Add("POST", path, "Content-Type: application/x-www-form-urlencoded\r\nX-HTTP-Method-Override: "+method)
	}
	f.Fuzz(func(t *testing.T, method, target, headers string) {
		for _, g := range gateways {
			g.check(t, r, method+" "+target+" HTTP/1.1\r\nHost: a\r\n"+headers+"\r\n\r\n")
		}
	})
}

// The body of a refused form is not read if the gateway does not look for the HTTP
// method in it. Without the option it is read first, as docs/doors.md says.
func TestGatewayReadsForms(t *testing.T) {
	r := newRoutedTenant(t)
	for _, test := range []struct {
		gateway *routedGateway
		read    bool
	}{
		{r.gateway(t, "default"), true},
		{r.gateway(t, "no fallback", runtime.WithDisablePathLengthFallback()), false},
	} {
		for _, override := range []string{"", "DELETE"} {
			body := &countedReader{Reader: bytes.NewReader(bytes.Repeat([]byte("a"), 1<<20))}
			request := httptest.NewRequest(http.MethodPost, "/v1/orders/7", body)
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.Header.Set("X-HTTP-Method-Override", override)
			test.gateway.mux.ServeHTTP(httptest.NewRecorder(), request)
			if (body.n > 0) != test.read || test.gateway.ran != "" {
				t.Errorf("%s, override %q: %d bytes were read, ran %q", test.gateway.name, override, body.n, test.gateway.ran)
			}
		}
	}
}

type countedReader struct {
	io.Reader
	n int
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// plantedHeaders are headers that gateways before v2.33.0 turn into metadata. A client
// may send them under any key.
const plantedHeaders = "\r\nGrpc-Metadata-Authorization: Bearer %s\r\ngrpc-metadata-AUTHORIZATION: DPoP x" +
	"\r\nGrpc-Metadata-Dpop: planted\r\nGrpc-Metadata-Host: planted\r\nGrpc-Metadata-X-Forwarded-Host: planted" +
	"\r\nGrpc-Metadata-Grpcgateway-Authorization: planted\r\nGrpc-Metadata-Trace: planted"

// Headers of clients plant neither a credential nor a proof, behind the door or through
// the connection in memory.
func TestGatewayPlantedHeaders(t *testing.T) {
	r := newRoutedTenant(t)
	g := r.gateway(t, "legacy headers", runtime.WithLegacyHeaderMatching())
	text := "GET /v1/orders/7 HTTP/1.1\r\nHost: a" + fmt.Sprintf(plantedHeaders, r.all) + "\r\n\r\n"
	if response, _ := g.serve(text, ""); response.StatusCode != http.StatusUnauthorized || g.ran != "" {
		t.Errorf("a planted token: %d ran %q", response.StatusCode, g.ran)
	}
	if response, _ := g.serve(text, r.without["/routes.v1.Routes/GetOrder"]); response.StatusCode != http.StatusForbidden || g.ran != "" {
		t.Errorf("a planted token beside a token without the scope: %d ran %q", response.StatusCode, g.ran)
	}
	g.serve(text, r.all)
	if g.ran == "" || len(g.seen["authorization"]) != 1 || g.seen["authorization"][0] != "Bearer "+r.all || len(g.seen["dpop"]) != 0 {
		t.Errorf("ran %q with %v", g.ran, g.seen)
	}
	if len(g.seen["trace"]) != 1 || len(g.seen["grpcgateway-authorization"]) != 1 || g.seen["x-forwarded-host"][0] == "planted" {
		t.Errorf("the gateway forwarded %v: are the headers still in use?", g.seen)
	}

	t.Run("connection in memory", func(t *testing.T) {
		key := auth0grpctest.NewDPoPKey()
		bound := r.BoundToken(map[string]any{"scope": "run:GetOrder"}, key)
		guard, err := auth0grpc.New(auth0grpc.Config{
			Issuers: []string{r.Issuer()}, Audiences: []string{auth0grpctest.Audience}, HTTPClient: r.HTTPClient(),
			Methods: map[string]auth0grpc.Rule{"/routes.v1.Routes/*": auth0grpc.Scopes("run:GetOrder")},
			DPoP:    auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example.com"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		conn, stop, err := inProcess(guard, func(s grpc.ServiceRegistrar) { routesv1.RegisterRoutesServer(s, routedService{}) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		mux := runtime.NewServeMux(runtime.WithLegacyHeaderMatching())
		if err := routesv1.RegisterRoutesHandler(t.Context(), mux, conn); err != nil {
			t.Fatal(err)
		}
		const here, there = "https://api.example.com/routes.v1.Routes/GetOrder", "https://planted/routes.v1.Routes/GetOrder"
		for name, test := range map[string]struct {
			header http.Header
			status int // 501 from the method itself
		}{
			"the token": {http.Header{"Authorization": {"Bearer " + r.all}}, 501},
			// docs/doors.md: without Authorization, an old gateway forwards this one.
			"a token in the other header":     {http.Header{"Grpc-Metadata-Authorization": {"Bearer " + r.all}}, 501},
			"the token and a planted one":     {http.Header{"Authorization": {"Bearer " + r.all}, "Grpc-Metadata-Authorization": {"Bearer " + r.all}}, 401},
			"the token and two planted ones":  {http.Header{"Authorization": {"Bearer " + r.all}, "Grpc-Metadata-Authorization": {"Bearer " + r.all, "x"}}, 401},
			"another scheme beside the token": {http.Header{"Authorization": {"Bearer " + r.all}, "Grpc-Metadata-Authorization": {"Basic x"}}, 401},
			"a proof for the planted host":    {http.Header{"Authorization": {"DPoP " + bound}, "Grpc-Metadata-Dpop": {key.Proof(there, bound, nil)}, "Grpc-Metadata-Host": {"planted"}}, 401},
			"two proofs":                      {http.Header{"Authorization": {"DPoP " + bound}, "Grpc-Metadata-Dpop": {key.Proof(here, bound, nil), key.Proof(here, bound, nil)}}, 401},
		} {
			request := httptest.NewRequest(http.MethodGet, "/v1/orders/7", nil)
			request.Header = test.header
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, request)
			if w.Code != test.status {
				t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, test.status)
			}
		}
	})
	summarize(t, "grpc-gateway with the header matcher of old versions: no planted credential or proof decides")
}
