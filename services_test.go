package auth0grpc_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

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
