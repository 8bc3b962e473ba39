package auth0grpc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// The log names the rows that are not enforced in one order.
func TestReportOnlyRowsAreSorted(t *testing.T) {
	methods, want := map[string]Rule{"/a.B/Enforced": Authenticated()}, []string{}
	for i := range 9 {
		pattern := fmt.Sprintf("/a.B/M%d", i)
		methods[pattern], want = Authenticated().ReportOnly(), append(want, pattern)
	}
	table, _ := newTable(methods)
	if diff := cmp.Diff(want, table.reportOnlyRows()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A refusal has as many whole scopes as fit.
func TestBoundedScope(t *testing.T) {
	const half = maxScopeBytes / 2
	for _, test := range []struct {
		sizes      []int
		size, kept int // of the result
	}{
		{nil, 0, 0},
		{[]int{half, half - 1}, maxScopeBytes, 2},
		{[]int{half, half}, half, 1},
		{[]int{half, half - 3, 1}, maxScopeBytes, 3},
		{[]int{half, half - 2, 1}, maxScopeBytes - 1, 2},
		{[]int{maxScopeBytes}, maxScopeBytes, 1},
		{[]int{maxScopeBytes + 1, 1}, 0, 0},
	} {
		var scopes []string
		for _, size := range test.sizes {
			scopes = append(scopes, strings.Repeat("s", size))
		}
		got := boundedScope(scopes)
		if kept := len(strings.Fields(got)); len(got) != test.size || kept != test.kept {
			t.Errorf("%v: %d bytes with %d scopes, want %d with %d", test.sizes, len(got), kept, test.size, test.kept)
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
