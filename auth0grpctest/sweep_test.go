package auth0grpctest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/auth0grpctest"
)

// A sweepRecorder is a test that keeps the findings reported to it.
type sweepRecorder struct {
	testing.TB
	errors, logs []string
}

func (r *sweepRecorder) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}

func (r *sweepRecorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// methods names the methods that the recorded errors are about, each once.
func (r *sweepRecorder) methods() []string {
	var all []string
	for _, text := range r.errors {
		method, _, _ := strings.Cut(strings.TrimPrefix(text, "auth0grpctest: sweep: "), " ")
		all = append(all, method)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// numbers returns the numbers of the last log.
func (r *sweepRecorder) numbers(tb testing.TB) (good, all, methods int) {
	tb.Helper()
	last := r.logs[len(r.logs)-1]
	if _, err := fmt.Sscanf(last, "auth0grpctest: sweep: %d of %d calls to %d methods went as the table says", &good, &all, &methods); err != nil {
		tb.Errorf("last log %q: %v", last, err)
	}
	return good, all, methods
}

const service = "/grpc.testing.TestService/"

// sweepMethods has every kind of rule and every shape of method.
func sweepMethods() map[string]auth0grpc.Rule {
	return map[string]auth0grpc.Rule{
		service + "EmptyCall":           auth0grpc.Public(),
		service + "UnaryCall":           auth0grpc.Scopes("read:a", "read:b"),
		service + "CacheableUnaryCall":  auth0grpc.Optional(),
		service + "StreamingOutputCall": auth0grpc.AnyScope("read:a", "admin"),
		service + "StreamingInputCall":  auth0grpc.AllOf(auth0grpc.Permissions("p", "q"), auth0grpc.Organizations("org_1", "org_2")),
		service + "FullDuplexCall":      auth0grpc.AnyOf(auth0grpc.Clients("c"), auth0grpc.AnyPermission("p", "q")),
		service + "*":                   auth0grpc.Authenticated(),
		auth0grpc.HealthService:         auth0grpc.Scopes("watch:health").ReportOnly(),
	}
}

func sweepConfig(tenant *auth0grpctest.Tenant, methods map[string]auth0grpc.Rule) auth0grpc.Config {
	return auth0grpc.Config{
		Issuers: []string{tenant.Issuer()}, Audiences: []string{auth0grpctest.Audience},
		Methods: methods, HTTPClient: tenant.HTTPClient(),
	}
}

func newSweepGuard(t *testing.T, config auth0grpc.Config) *auth0grpc.Interceptor {
	t.Helper()
	guard, err := auth0grpc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

// blocking never answers HalfDuplexCall.
type blocking struct {
	testgrpc.UnimplementedTestServiceServer
}

func (blocking) HalfDuplexCall(stream grpc.BidiStreamingServer[testgrpc.StreamingOutputCallRequest, testgrpc.StreamingOutputCallResponse]) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}

func newSweepServer(t *testing.T, service testgrpc.TestServiceServer, options ...grpc.ServerOption) *grpc.Server {
	t.Helper()
	server := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(server, service)
	healthv1.RegisterHealthServer(server, health.NewServer())
	t.Cleanup(server.Stop)
	return server
}

func TestSweepPassesAServerThatKeepsItsTable(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	guard := newSweepGuard(t, sweepConfig(tenant, sweepMethods()))
	auth0grpctest.Sweep(t, newSweepServer(t, blocking{}, guard.ServerOptions()...), guard, tenant, nil)
}

func TestSweepReportsMethodsWithoutInterceptor(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	guard := newSweepGuard(t, sweepConfig(tenant, sweepMethods()))
	tests := []struct {
		name   string
		option grpc.ServerOption
		want   []string
	}{
		{"streams", grpc.UnaryInterceptor(guard.UnaryServerInterceptor()), []string{
			service + "FullDuplexCall", service + "HalfDuplexCall", service + "StreamingInputCall", service + "StreamingOutputCall",
		}},
		{"unary", grpc.StreamInterceptor(guard.StreamServerInterceptor()), []string{
			service + "CacheableUnaryCall", service + "UnaryCall", service + "UnimplementedCall",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			record := &sweepRecorder{TB: t}
			auth0grpctest.Sweep(record, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, test.option), guard, tenant, nil)
			if got := record.methods(); !slices.Equal(got, test.want) {
				t.Errorf("reported %v, want %v\n%s", got, test.want, strings.Join(record.errors, "\n"))
			}
			good, all, _ := record.numbers(t)
			if good == 0 || good+len(record.errors) != all {
				t.Errorf("%d of %d calls went as the table says, beside %d findings", good, all, len(record.errors))
			}
		})
	}
}

func TestSweepReportsEveryMethodThatDiffers(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	guard := newSweepGuard(t, sweepConfig(tenant, sweepMethods()))
	served := sweepMethods()
	served[service+"EmptyCall"] = auth0grpc.Authenticated()
	served[service+"UnaryCall"] = auth0grpc.Scopes("read:a")
	served[service+"CacheableUnaryCall"] = auth0grpc.Public() // differs for an anonymous subject
	served[service+"StreamingOutputCall"] = auth0grpc.AnyScope("read:a")
	served[service+"StreamingInputCall"] = auth0grpc.AllOf(auth0grpc.Permissions("p", "q"), auth0grpc.Organizations("org_2"))
	served[service+"FullDuplexCall"] = auth0grpc.AnyOf(auth0grpc.Clients("c"), auth0grpc.AnyPermission("p")).ReportOnly()
	served[auth0grpc.HealthService] = auth0grpc.Scopes("watch:health")
	delete(served, service+"*")
	other := newSweepGuard(t, sweepConfig(tenant, served))
	record := &sweepRecorder{TB: t}
	auth0grpctest.Sweep(record, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, other.ServerOptions()...), guard, tenant, nil)
	want := []string{
		"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch",
		service + "CacheableUnaryCall", service + "EmptyCall", service + "FullDuplexCall", service + "HalfDuplexCall",
		service + "StreamingInputCall", service + "StreamingOutputCall", service + "UnaryCall", service + "UnimplementedCall",
	}
	if got := record.methods(); !slices.Equal(got, want) {
		t.Errorf("reported %v\nwant %v\n%s", got, want, strings.Join(record.errors, "\n"))
	}
	const text = "auth0grpctest: sweep: " + service + "UnaryCall (read:a AND read:b) with a token of scope read:a: let through; want it refused"
	if !slices.Contains(record.errors, text) {
		t.Errorf("no report %q in\n%s", text, strings.Join(record.errors, "\n"))
	}
}

func TestSweepReportsRulesThatNoTokenMeets(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	methods := map[string]auth0grpc.Rule{
		service + "*":           auth0grpc.AllOf(auth0grpc.Organizations("org_1"), auth0grpc.Organizations("org_2")),
		auth0grpc.HealthService: auth0grpc.Public(),
	}
	guard := newSweepGuard(t, sweepConfig(tenant, methods))
	record := &sweepRecorder{TB: t}
	auth0grpctest.Sweep(record, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, guard.ServerOptions()...), guard, tenant, nil)
	if len(record.errors) != 8 || !strings.Contains(record.errors[0], "no token was found that meets the rule") {
		t.Errorf("reports %q, want one for each method of the service", record.errors)
	}
}

func TestSweepLeavesMethodsWithoutRow(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	guard := newSweepGuard(t, sweepConfig(tenant, map[string]auth0grpc.Rule{auth0grpc.HealthService: auth0grpc.Public()}))
	auth0grpctest.Sweep(t, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, guard.ServerOptions()...), guard, tenant, nil)
}

func TestSweepLaysClaimsOverEveryToken(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	config := sweepConfig(tenant, sweepMethods())
	config.Audiences = []string{"https://other.example"}
	guard := newSweepGuard(t, config)
	server := newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, guard.ServerOptions()...)
	auth0grpctest.Sweep(t, server, guard, tenant, map[string]any{"aud": "https://other.example", "scope": "read:a read:b", "client_id": "c"})

	record := &sweepRecorder{TB: t}
	auth0grpctest.Sweep(record, server, guard, tenant, nil)
	if len(record.errors) == 0 || !strings.Contains(record.errors[0], string(auth0grpc.ReasonWrongAudience)) {
		t.Errorf("reports %q, want the reason why good tokens are refused", record.errors)
	}
}

// TestSweepOfBoundRows is that bearer tokens are refused there, with any
// grants.
func TestSweepOfBoundRows(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	methods := map[string]auth0grpc.Rule{
		service + "*":                   auth0grpc.Scopes("read:a"),
		service + "UnaryCall":           auth0grpc.AnyScope("read:a", "admin").RequireDPoP(),
		service + "FullDuplexCall":      auth0grpc.Optional().RequireMTLS(),
		service + "StreamingOutputCall": auth0grpc.Authenticated().RequireDPoP().ReportOnly(),
		auth0grpc.HealthService:         auth0grpc.Public(),
	}
	config := sweepConfig(tenant, methods)
	config.DPoP = auth0grpc.DPoPConfig{Mode: auth0grpc.BindingAllowed, Authorities: []string{"https://api.example.com"}}
	config.MTLS = auth0grpc.MTLSConfig{Mode: auth0grpc.BindingAllowed}
	guard := newSweepGuard(t, config)
	auth0grpctest.Sweep(t, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, guard.ServerOptions()...), guard, tenant, nil)

	methods[service+"UnaryCall"] = auth0grpc.AnyScope("read:a", "admin")
	config.Methods = methods
	other := newSweepGuard(t, config)
	record := &sweepRecorder{TB: t}
	auth0grpctest.Sweep(record, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, other.ServerOptions()...), guard, tenant, nil)
	if got := record.methods(); !slices.Equal(got, []string{service + "UnaryCall"}) {
		t.Errorf("reported %v, want UnaryCall, to which bearer tokens were let through", got)
	}
}

// TestSweepReportsUnaryMethodsOnStreams covers an error that a table and CheckServices
// cannot see: gRPC runs a method that is registered as a stream, and streams in neither
// direction, without any interceptor.
func TestSweepReportsUnaryMethodsOnStreams(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	guard := newSweepGuard(t, sweepConfig(tenant, map[string]auth0grpc.Rule{"/by.Hand/*": auth0grpc.Authenticated()}))
	server := grpc.NewServer(guard.ServerOptions()...)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "by.Hand", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "Do", Handler: func(any, grpc.ServerStream) error { return nil }}},
	}, nil)
	record := &sweepRecorder{TB: t}
	auth0grpctest.Sweep(record, server, guard, tenant, nil)
	if got := record.methods(); !slices.Equal(got, []string{"/by.Hand/Do"}) {
		t.Errorf("reported %v, want /by.Hand/Do", got)
	}
}

// TestSweepAgreesWithTheInterceptor holds the sweep's own judgement of rules
// against the interceptor's, on rules of all kinds in each other.
func TestSweepAgreesWithTheInterceptor(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 8))
	methods := map[string]auth0grpc.Rule{}
	description := grpc.ServiceDesc{ServiceName: "random.Rules", HandlerType: (*any)(nil)}
	for i := range 60 {
		name := fmt.Sprintf("M%d", i)
		methods["/random.Rules/"+name] = randomRule(random, 0)
		description.Streams = append(description.Streams, grpc.StreamDesc{
			StreamName: name, ClientStreams: i%3 > 0, ServerStreams: i%3 < 2,
			Handler: func(any, grpc.ServerStream) error { return nil },
		})
	}
	tenant := auth0grpctest.NewTenant(t)
	guard := newSweepGuard(t, sweepConfig(tenant, methods))
	server := grpc.NewServer(guard.ServerOptions()...)
	server.RegisterService(&description, nil)
	record := &sweepRecorder{TB: t}
	auth0grpctest.Sweep(record, server, guard, tenant, nil)
	for _, text := range record.errors {
		if !strings.Contains(text, "no token was found that meets the rule") { // which random rules may be
			t.Error(text)
		}
	}
}

func randomRule(random *rand.Rand, depth int) auth0grpc.Rule {
	names := []func(...string) auth0grpc.Rule{
		auth0grpc.Scopes, auth0grpc.AnyScope, auth0grpc.Permissions,
		auth0grpc.AnyPermission, auth0grpc.Organizations, auth0grpc.Clients,
	}
	part := func() auth0grpc.Rule { return randomRule(random, depth+1) }
	switch kind := random.IntN(len(names) + 5); {
	case kind < len(names):
		list := []string{"a", "b", "c"}
		if kind == 4 { // ids of organizations begin so
			list = []string{"org_a", "org_b", "org_c"}
		}
		return names[kind](list[random.IntN(3):]...)
	case kind == len(names) || depth > 2:
		return auth0grpc.Authenticated()
	case kind < len(names)+3:
		return auth0grpc.AllOf(part(), part())
	}
	return auth0grpc.AnyOf(part(), part(), part())
}

// A row that another row's scope loosens differs for tokens of that scope alone.
func TestSweepReportsRowsLoosenedByOtherRows(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	const method = service + "UnaryCall"
	write := auth0grpc.Scopes("write")
	table := func(rule auth0grpc.Rule) map[string]auth0grpc.Rule {
		return map[string]auth0grpc.Rule{
			method:                          rule,
			service + "StreamingOutputCall": auth0grpc.AnyPermission("q", "r"),
			service + "*":                   auth0grpc.AllOf(auth0grpc.Scopes("read"), auth0grpc.AnyOf(auth0grpc.Organizations("org_1", "org_2"), auth0grpc.Clients("c"))),
			auth0grpc.HealthService:         auth0grpc.Public(),
		}
	}
	both := auth0grpc.AllOf(write, auth0grpc.Permissions("p"))
	two := auth0grpc.AnyOf(auth0grpc.Scopes("a", "b"), auth0grpc.Scopes("c", "d"))
	for _, test := range []struct {
		name           string
		stated, served auth0grpc.Rule
		token          string // that is let through
	}{
		{"scope", write, auth0grpc.AnyScope("write", "read"), "scope read"},
		{"permission", write, auth0grpc.AnyOf(write, auth0grpc.Permissions("q")), "permissions q"},
		{"its own scope as permission", write, auth0grpc.AnyOf(write, auth0grpc.Permissions("write")), "permissions write"},
		{"another's scope as permission", write, auth0grpc.AnyOf(write, auth0grpc.Permissions("read")), "permissions read"},
		{"organization", write, auth0grpc.AnyOf(write, auth0grpc.Organizations("org_2")), "org_id org_2"},
		{"client", write, auth0grpc.AnyOf(write, auth0grpc.Clients("c")), "azp c"},
		{"two of other rows", write, auth0grpc.AnyOf(write, auth0grpc.AllOf(auth0grpc.Scopes("read"), auth0grpc.Permissions("q"))), "with a token of 9 grants that only other rows name"},
		{"one of a conjunction", both, auth0grpc.AllOf(write, auth0grpc.AnyPermission("p", "r")), "scope write, permissions r"},
		{"across alternatives", two, auth0grpc.AnyOf(auth0grpc.Scopes("a", "b"), auth0grpc.Scopes("c", "d"), auth0grpc.Scopes("a", "c")), "scope a, scope c"},
	} {
		t.Run(test.name, func(t *testing.T) {
			guard := newSweepGuard(t, sweepConfig(tenant, table(test.stated)))
			record := &sweepRecorder{TB: t}
			auth0grpctest.Sweep(record, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, guard.ServerOptions()...), guard, tenant, nil)
			if len(record.errors) > 0 {
				t.Errorf("the stated table: %q", record.errors)
			}

			other := newSweepGuard(t, sweepConfig(tenant, table(test.served)))
			record = &sweepRecorder{TB: t}
			auth0grpctest.Sweep(record, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, other.ServerOptions()...), guard, tenant, nil)
			if got := record.methods(); !slices.Equal(got, []string{method}) {
				t.Errorf("reported %v, want %s", got, method)
			}
			if text := strings.Join(record.errors, "\n"); !strings.Contains(text, test.token+": let through; want it refused") {
				t.Errorf("no report of the token %q in\n%s", test.token, text)
			}
		})
	}
}

// Many grants are spread over tokens that a server still reads.
func TestSweepOfALargeTable(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	table := func(rule auth0grpc.Rule) map[string]auth0grpc.Rule {
		methods := map[string]auth0grpc.Rule{service + "*": auth0grpc.Authenticated(), auth0grpc.HealthService: auth0grpc.Public(), service + "UnaryCall": rule}
		for i := range 300 {
			methods[fmt.Sprintf("/large.Service/Method%d", i)] = auth0grpc.Scopes(fmt.Sprintf("scope-of-a-name-of-usual-length:%d", i))
		}
		return methods
	}
	guard := newSweepGuard(t, sweepConfig(tenant, table(auth0grpc.Scopes("write"))))
	auth0grpctest.Sweep(t, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, guard.ServerOptions()...), guard, tenant, nil)
	other := newSweepGuard(t, sweepConfig(tenant, table(auth0grpc.AnyScope("write", "scope-of-a-name-of-usual-length:287"))))
	record := &sweepRecorder{TB: t}
	auth0grpctest.Sweep(record, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, other.ServerOptions()...), guard, tenant, nil)
	if text := strings.Join(record.errors, "\n"); !strings.Contains(text, "with a token of scope scope-of-a-name-of-usual-length:287: let through") {
		t.Errorf("reports:\n%s", text)
	}
}

// A method without a row is refused to a token of all grants as well.
func TestSweepReportsMethodsWithoutRow(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	guard := newSweepGuard(t, sweepConfig(tenant, map[string]auth0grpc.Rule{auth0grpc.HealthService: auth0grpc.Scopes("watch:health")}))
	other := newSweepGuard(t, sweepConfig(tenant, map[string]auth0grpc.Rule{
		auth0grpc.HealthService: auth0grpc.Scopes("watch:health"), service + "UnaryCall": auth0grpc.Scopes("watch:health"),
	}))
	record := &sweepRecorder{TB: t}
	auth0grpctest.Sweep(record, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, other.ServerOptions()...), guard, tenant, nil)
	want := []string{"auth0grpctest: sweep: " + service + "UnaryCall (no row) with a token of scope watch:health: let through; want it refused"}
	if !slices.Equal(record.errors, want) {
		t.Errorf("reports %q, want %q", record.errors, want)
	}
}

// Sweep logs its calls, for "go test -v".
func TestSweepLogs(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	guard := newSweepGuard(t, sweepConfig(tenant, map[string]auth0grpc.Rule{
		auth0grpc.HealthService: auth0grpc.Public(), service + "*": auth0grpc.Authenticated(), service + "UnaryCall": auth0grpc.AnyScope("read", "admin"),
	}))
	record := &sweepRecorder{TB: t}
	auth0grpctest.Sweep(record, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, guard.ServerOptions()...), guard, tenant, nil)
	for _, want := range []string{
		"auth0grpctest: sweep: " + service + "UnaryCall (read OR admin): let through with a token of scope read | with a token of scope admin; " +
			"refused without a token | with a token without any grant | with a token of scope read, sub anon@auth0grpctest-sweep | with a token of 2 grants that only other rows name",
		"auth0grpctest: sweep: /grpc.health.v1.Health/Check (public): let through without a token | with a token without any grant; refused none",
	} {
		if !slices.Contains(record.logs, want) {
			t.Errorf("no log %q in\n%s", want, strings.Join(record.logs, "\n"))
		}
	}
	if good, all, methods := record.numbers(t); good != all || methods != len(record.logs)-1 {
		t.Errorf("%d of %d calls to %d methods, want all, to %d", good, all, methods, len(record.logs)-1)
	}
}

// A fatalRecorder ends the goroutine at Fatalf, as a test does.
type fatalRecorder struct{ sweepRecorder }

func (r *fatalRecorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// A sweep makes no calls if the guard gets no keys, or the server does not serve: every
// call would be refused.
func TestSweepWithoutKeysOrServer(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	noKeys := sweepConfig(tenant, sweepMethods())
	noKeys.HTTPClient = &http.Client{Transport: http.NewFileTransport(http.Dir(t.TempDir()))}
	for name, test := range map[string]struct {
		config  auth0grpc.Config
		stopped bool
		want    string
	}{
		"no keys":   {noKeys, false, "auth0grpctest: sweep: guard has no keys; is it of this tenant? "},
		"no server": {sweepConfig(tenant, sweepMethods()), true, "auth0grpctest: sweep: the server does not serve"},
	} {
		guard := newSweepGuard(t, test.config)
		server := newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, guard.ServerOptions()...)
		if test.stopped {
			server.Stop()
		}
		record := &fatalRecorder{sweepRecorder{TB: t}}
		done := make(chan struct{})
		go func() {
			defer close(done)
			auth0grpctest.Sweep(record, server, guard, tenant, nil)
			t.Errorf("%s: the sweep goes on", name)
		}()
		<-done
		if len(record.errors) != 1 || !strings.HasPrefix(record.errors[0], test.want) || len(record.logs) != 0 {
			t.Errorf("%s: errors %q, %d logs", name, record.errors, len(record.logs))
		}
	}
}

// A sweep finds a row that lost its rule about actors or anonymous sessions.
func TestSweepReportsActorsAndAnonymousSubjects(t *testing.T) {
	tenant := auth0grpctest.NewTenant(t)
	stated := map[string]auth0grpc.Rule{
		service + "EmptyCall":          auth0grpc.AllOf(auth0grpc.Scopes("read:a"), auth0grpc.NotDelegated()),
		service + "UnaryCall":          auth0grpc.ActedBy("agt_1"),
		service + "CacheableUnaryCall": auth0grpc.Authenticated(),
		service + "FullDuplexCall":     auth0grpc.Authenticated().AllowAnonymous(),
		service + "*":                  auth0grpc.AnyOf(auth0grpc.NotDelegated(), auth0grpc.Scopes("admin")),
		auth0grpc.HealthService:        auth0grpc.Public(),
	}
	guard := newSweepGuard(t, sweepConfig(tenant, stated))
	auth0grpctest.Sweep(t, newSweepServer(t, blocking{}, guard.ServerOptions()...), guard, tenant, nil)

	served := maps.Clone(stated)
	served[service+"EmptyCall"] = auth0grpc.Scopes("read:a")
	served[service+"UnaryCall"] = auth0grpc.Authenticated()
	served[service+"CacheableUnaryCall"] = auth0grpc.Authenticated().AllowAnonymous()
	served[service+"FullDuplexCall"] = auth0grpc.Authenticated()
	other := newSweepGuard(t, sweepConfig(tenant, served))
	record := &sweepRecorder{TB: t}
	auth0grpctest.Sweep(record, newSweepServer(t, testgrpc.UnimplementedTestServiceServer{}, other.ServerOptions()...), guard, tenant, nil)
	want := []string{service + "CacheableUnaryCall", service + "EmptyCall", service + "FullDuplexCall", service + "UnaryCall"}
	if got := record.methods(); !slices.Equal(got, want) {
		t.Errorf("reported %v\nwant %v\n%s", got, want, strings.Join(record.errors, "\n"))
	}
}
