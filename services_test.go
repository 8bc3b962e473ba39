package auth0grpc_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	channelz "google.golang.org/grpc/channelz/service"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/auth0grpc/auth0grpc"
)

func TestCheckServices(t *testing.T) {
	services := map[string]grpc.ServiceInfo{
		"orders.v1.Orders": {Methods: []grpc.MethodInfo{{Name: "Get"}, {Name: "Create"}, {Name: "Watch", IsServerStream: true}}},
		"orders.v1.Empty":  {},
	}
	rule := auth0grpc.Authenticated()
	tests := []struct {
		name    string
		methods map[string]auth0grpc.Rule
		want    []string
	}{
		{"each method", map[string]auth0grpc.Rule{"/orders.v1.Orders/Get": rule, "/orders.v1.Orders/Create": rule, "/orders.v1.Orders/Watch": rule}, nil},
		{"wildcard", map[string]auth0grpc.Rule{"/orders.v1.Orders/*": rule}, nil},
		{"wildcard and method", map[string]auth0grpc.Rule{"/orders.v1.Orders/*": rule, "/orders.v1.Orders/Get": rule}, nil},
		{"wildcard behind every method", map[string]auth0grpc.Rule{"/orders.v1.Orders/*": rule, "/orders.v1.Orders/Get": rule, "/orders.v1.Orders/Create": rule, "/orders.v1.Orders/Watch": rule}, nil},
		{"forgotten stream (CVE-2022-39340)", map[string]auth0grpc.Rule{"/orders.v1.Orders/Get": rule, "/orders.v1.Orders/Create": rule}, []string{
			"auth0grpc: /orders.v1.Orders/Watch is registered but has no row, so every call is refused",
		}},
		{"slips both ways", map[string]auth0grpc.Rule{"/orders.v1.Order/Get": rule, "/orders.v1.Orders/create": rule, "/orders.v1.Orders/Watch": rule}, []string{
			"auth0grpc: /orders.v1.Orders/Create is registered but has no row, so every call is refused; did you mean /orders.v1.Orders/create?",
			"auth0grpc: /orders.v1.Orders/Get is registered but has no row, so every call is refused; did you mean /orders.v1.Order/Get?",
			"auth0grpc: row /orders.v1.Order/Get matches no registered method; did you mean /orders.v1.Orders/Get?",
			"auth0grpc: row /orders.v1.Orders/create matches no registered method; did you mean /orders.v1.Orders/Create?",
		}},
		{"wildcard of another service", map[string]auth0grpc.Rule{"/orders.v1.Orders/*": rule, "/orders.v2.Orders/*": rule, "/billing.Invoices/*": rule}, []string{
			"auth0grpc: row /billing.Invoices/* matches no registered method",
			"auth0grpc: row /orders.v2.Orders/* matches no registered method; did you mean /orders.v1.Orders/*?",
		}},
		{"wildcard of a service without methods", map[string]auth0grpc.Rule{"/orders.v1.Orders/*": rule, "/orders.v1.Empty/*": rule}, []string{
			"auth0grpc: row /orders.v1.Empty/* matches no registered method",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := sound()
			config.Methods = test.methods
			var got []string
			if err := mustNew(t, config).CheckServices(services); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("CheckServices (-want +got):\n%s", diff)
			}
		})
	}
}

// A server on which nothing is registered yet fits no table.
func TestCheckServicesBeforeRegister(t *testing.T) {
	err := mustNew(t, sound()).CheckServices(grpc.NewServer().GetServiceInfo())
	if err == nil || err.Error() != "auth0grpc: row /a.B/Get matches no registered method" {
		t.Errorf("CheckServices = %v", err)
	}
}

// Rows for the services of gRPC itself have constants.
func TestCheckServicesNamesConstants(t *testing.T) {
	server := grpc.NewServer()
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	channelz.RegisterChannelzServiceToServer(server)
	config := sound()
	config.Methods = map[string]auth0grpc.Rule{"/grpc.health.v1.Health/Chekc": auth0grpc.Public()}
	text := mustNew(t, config).CheckServices(server.GetServiceInfo()).Error()
	for method, constant := range map[string]string{
		"/grpc.health.v1.Health/Check":                                   "HealthService",
		"/grpc.health.v1.Health/Watch":                                   "HealthService",
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":      "ReflectionService",
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": "ReflectionAlphaService",
		"/grpc.channelz.v1.Channelz/GetServers":                          "ChannelzService",
	} {
		want := "auth0grpc: " + method + " is registered but has no row, so every call is refused; the row for its service is auth0grpc." + constant
		if !slices.Contains(strings.Split(text, "\n"), want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}

// A server that installs one interceptor of the two serves methods of the other kind
// unchecked.
func TestCheckServicesNoticesTheMissingInterceptor(t *testing.T) {
	services := map[string]grpc.ServiceInfo{
		"a.B": {Methods: []grpc.MethodInfo{
			{Name: "Get"}, {Name: "Upload", IsClientStream: true}, {Name: "Watch", IsServerStream: true}, {Name: "Chat", IsClientStream: true, IsServerStream: true},
		}},
		"grpc.health.v1.Health": {Methods: []grpc.MethodInfo{{Name: "Check"}, {Name: "Watch", IsServerStream: true}}},
	}
	unary := func(g *auth0grpc.Interceptor) { g.UnaryServerInterceptor() }
	stream := func(g *auth0grpc.Interceptor) { g.StreamServerInterceptor() }
	const noStream = "auth0grpc: /a.B/Chat is a streaming method, and the server has no StreamServerInterceptor, so its calls are not checked; use ServerOptions, which has both (methods affected: 3)"
	const noUnary = "auth0grpc: /a.B/Get is a unary method, and the server has no UnaryServerInterceptor, so its calls are not checked; use ServerOptions, which has both (methods affected: 1)"
	tests := []struct {
		name    string
		obtain  []func(*auth0grpc.Interceptor)
		rule    auth0grpc.Rule
		options []auth0grpc.CheckOption
		want    string
	}{
		{name: "none", rule: auth0grpc.Authenticated()},
		{name: "unary alone", obtain: []func(*auth0grpc.Interceptor){unary}, rule: auth0grpc.Authenticated(), want: noStream},
		{name: "stream alone", obtain: []func(*auth0grpc.Interceptor){stream}, rule: auth0grpc.Authenticated(), want: noUnary},
		{name: "unary alone, optional", obtain: []func(*auth0grpc.Interceptor){unary}, rule: auth0grpc.Optional(), want: noStream},
		{name: "unary alone, public", obtain: []func(*auth0grpc.Interceptor){unary}, rule: auth0grpc.Public()},
		{name: "stream alone, public", obtain: []func(*auth0grpc.Interceptor){stream}, rule: auth0grpc.Public()},
		{name: "unary alone, ignored service", obtain: []func(*auth0grpc.Interceptor){unary}, rule: auth0grpc.Authenticated(),
			options: []auth0grpc.CheckOption{auth0grpc.IgnoreServices("a.B"), auth0grpc.AllowIdleRows()}, want: noStream},
		{name: "both", obtain: []func(*auth0grpc.Interceptor){unary, stream}, rule: auth0grpc.Authenticated()},
		{name: "ServerOptions", obtain: []func(*auth0grpc.Interceptor){func(g *auth0grpc.Interceptor) { g.ServerOptions() }}, rule: auth0grpc.Authenticated()},
		{name: "AuthFunc", obtain: []func(*auth0grpc.Interceptor){func(g *auth0grpc.Interceptor) { g.AuthFunc() }}, rule: auth0grpc.Authenticated()},
		{name: "unary and AuthFunc", obtain: []func(*auth0grpc.Interceptor){unary, func(g *auth0grpc.Interceptor) { g.AuthFunc() }}, rule: auth0grpc.Authenticated()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := sound()
			config.Methods = map[string]auth0grpc.Rule{"/a.B/*": test.rule, auth0grpc.HealthService: auth0grpc.Public()}
			guard := mustNew(t, config)
			for _, obtain := range test.obtain {
				obtain(guard)
			}
			var got string
			if err := guard.CheckServices(services, test.options...); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("CheckServices = %q, want %q", got, test.want)
			}
		})
	}
}

// A method without a row is served unchecked as well without its interceptor.
func TestCheckServicesNoticesUnlistedStreams(t *testing.T) {
	guard := mustNew(t, sound())
	guard.UnaryServerInterceptor()
	err := guard.CheckServices(map[string]grpc.ServiceInfo{"a.B": {Methods: []grpc.MethodInfo{{Name: "Get"}, {Name: "Watch", IsServerStream: true}}}})
	if err == nil || !strings.Contains(err.Error(), "/a.B/Watch is a streaming method") || !strings.Contains(err.Error(), "/a.B/Watch is registered but has no row") {
		t.Errorf("CheckServices = %v", err)
	}
}

func TestCheckOptions(t *testing.T) {
	services := map[string]grpc.ServiceInfo{
		"a.B":      {Methods: []grpc.MethodInfo{{Name: "Get"}}},
		"admin.UI": {Methods: []grpc.MethodInfo{{Name: "Show"}}},
	}
	const noRow = "auth0grpc: /admin.UI/Show is registered but has no row, so every call is refused"
	const idleHealth = "auth0grpc: row /grpc.health.v1.Health/* matches no registered method"
	const idleRow = "auth0grpc: row /c.D/Put matches no registered method"
	tests := []struct {
		name    string
		options []auth0grpc.CheckOption
		want    []string
	}{
		{"no options", nil, []string{noRow, idleRow, idleHealth}},
		{"the zero option", []auth0grpc.CheckOption{{}}, []string{noRow, idleRow, idleHealth}},
		{"a framework that registers health later", []auth0grpc.CheckOption{auth0grpc.IgnoreServices("grpc.health.v1.Health")}, []string{noRow, idleRow}},
		{"a service with a prefix of the name", []auth0grpc.CheckOption{auth0grpc.IgnoreServices("admin", "grpc.health.v1")}, []string{noRow, idleRow, idleHealth}},
		{"a registered service", []auth0grpc.CheckOption{auth0grpc.IgnoreServices("admin.UI")}, []string{idleRow, idleHealth}},
		{"two options", []auth0grpc.CheckOption{auth0grpc.IgnoreServices("admin.UI"), auth0grpc.IgnoreServices("grpc.health.v1.Health", "c.D")}, nil},
		{"idle rows", []auth0grpc.CheckOption{auth0grpc.AllowIdleRows()}, []string{noRow}},
		{"both", []auth0grpc.CheckOption{auth0grpc.AllowIdleRows(), auth0grpc.IgnoreServices("admin.UI")}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := sound()
			config.Methods = map[string]auth0grpc.Rule{
				"/a.B/Get": auth0grpc.Authenticated(), "/c.D/Put": auth0grpc.Authenticated(), auth0grpc.HealthService: auth0grpc.Public(),
			}
			for name, err := range map[string]error{
				"CheckServices": mustNew(t, config).CheckServices(services, test.options...),
				"CheckMethods":  auth0grpc.CheckMethods(config.Methods, services, test.options...),
			} {
				var got []string
				if err != nil {
					got = strings.Split(err.Error(), "\n")
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

// A transparent proxy registers nothing: every row is idle.
func TestCheckServicesOfAProxy(t *testing.T) {
	guard := mustNew(t, sound())
	server := grpc.NewServer(append(guard.ServerOptions(), grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return nil }))...)
	if err := guard.CheckServices(server.GetServiceInfo(), auth0grpc.AllowIdleRows()); err != nil {
		t.Errorf("CheckServices = %v", err)
	}
}

// CheckMethods returns the faults of a table as New does.
func TestCheckMethodsReturnsConfigErrors(t *testing.T) {
	err := auth0grpc.CheckMethods(map[string]auth0grpc.Rule{"a.B/Get": auth0grpc.Public(), "/a.B/Put": {}}, nil)
	var fault *auth0grpc.ConfigError
	if !errors.As(err, &fault) || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Errorf("CheckMethods = %v, want two *ConfigError", err)
	}
	if err := auth0grpc.CheckMethods(nil, nil); !errors.As(err, &fault) || fault.Field != "Methods" {
		t.Errorf("CheckMethods of an empty table = %v", err)
	}
}
