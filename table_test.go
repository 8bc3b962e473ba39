package auth0grpc

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/channelz/service"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

func TestTableLookup(t *testing.T) {
	table, faults := newTable(map[string]Rule{
		"/a.B/Get": Scopes("get"),
		"/a.B/*":   Scopes("all"),
		"/a.C/Get": Scopes("c"),
		"/Plain/*": Scopes("plain"),
	})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	tests := []struct{ method, want string }{
		{"/a.B/Get", "/a.B/Get"}, // exact beats wildcard
		{"/a.B/Put", "/a.B/*"},
		{"/a.B/get", "/a.B/*"}, // another method, not another spelling
		{"/a.C/Get", "/a.C/Get"},
		{"/a.C/Put", ""},
		{"/Plain/Do", "/Plain/*"},
		{"/a.B/_azAZ09", "/a.B/*"}, // each end of the letters of names
		{"/a.b/Get", ""},
		{"/a.BB/Get", ""},
		{"/x.a.B/Get", ""},
		// CVE-2026-33186: none of these is another spelling of a row.
		{"a.B/Get", ""},
		{"//a.B/Get", ""},
		{"/a.B//Get", ""},
		{"/a.B/Get/", ""},
		{"/a.B/x/Get", ""},
		{"/a.B", ""},
		{"a.B", ""},
		{"/", ""},
		{"", ""},
		// A handler for unknown services may receive names that match no row.
		{"/a.B/", ""},
		{"/a.B/*", ""},
		{"/a.B/G et", ""},
		{"/a.B/1", ""},
		{"/a.B/a`", ""}, // the neighbours of letters and digits
		{"/a.B/a{", ""},
		{"/a.B/a@", ""},
		{"/a.B/a[", ""},
		{"/a.B/a/", ""},
		{"/a.B/a:", ""},
		{"/a.B/Gét", ""},
	}
	for _, test := range tests {
		var got string
		if r := table.lookup(test.method); r != nil {
			got = r.pattern
		}
		if got != test.want {
			t.Errorf("lookup(%q) = %q, want %q", test.method, got, test.want)
		}
	}
}

// A table of methods alone has no wildcards to look through.
func TestTableLookupWithoutWildcards(t *testing.T) {
	table, _ := newTable(map[string]Rule{"/a.B/Get": Public()})
	for _, method := range []string{"/a.B/Put", "/a.B/", "", "/a.B/*"} {
		if r := table.lookup(method); r != nil {
			t.Errorf("lookup(%q) = %s, want none", method, r.pattern)
		}
	}
}

// The presets cover exactly the services that gRPC itself registers.
func TestPresets(t *testing.T) {
	server := grpc.NewServer()
	healthgrpc.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	service.RegisterChannelzServiceToServer(server)
	methods := map[string]Rule{
		HealthService: Public(), ReflectionService: Authenticated(),
		ReflectionAlphaService: Authenticated(), ChannelzService: Scopes("admin"),
	}
	guard, err := New(Config{Issuers: []string{"https://a.example.com/"}, Audiences: []string{"api"}, Methods: methods})
	if err != nil {
		t.Fatal(err)
	}
	if err := guard.CheckServices(server.GetServiceInfo()); err != nil {
		t.Error(err)
	}
}
