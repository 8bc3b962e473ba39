package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
)

type table = map[string]auth0grpc.Rule

var (
	read  = auth0grpc.Scopes("read:a")
	write = auth0grpc.Scopes("write:a")
)

func TestMerge(t *testing.T) {
	tests := []struct {
		name   string
		tables []table
		want   table
		faults []string
	}{
		{name: "nothing", want: table{}},
		{name: "one", tables: []table{{"/a.B/C": read}}, want: table{"/a.B/C": read}},
		{
			name:   "side by side",
			tables: []table{{"/a.B/C": read}, {"/a.B/D": write, "/c.D/*": read}, nil},
			want:   table{"/a.B/C": read, "/a.B/D": write, "/c.D/*": read},
		},
		{name: "equal", tables: []table{{"/a.B/C": read}, {"/a.B/C": auth0grpc.Scopes("read:a")}}, want: table{"/a.B/C": read}},
		{name: "within a table a method may differ from its service", tables: []table{{"/a.B/C": read, "/a.B/*": write}}, want: table{"/a.B/C": read, "/a.B/*": write}},
		{
			name:   "all conflicts at once",
			tables: []table{{"/a.B/C": read, "/a.B/D": read, "/a.B/E": read}, {"/a.B/C": write, "/a.B/D": read, "/a.B/E": read.ReportOnly()}},
			faults: []string{"0:0: /a.B/C", "0:0: /a.B/E"},
		},
		{name: "among three", tables: []table{{"/a.B/C": read}, {"/a.B/C": read}, {"/a.B/C": write}}, faults: []string{"0:0: /a.B/C", "0:0: /a.B/C"}},
		{name: "method against service", tables: []table{{"/a.B/C": auth0grpc.Public()}, {"/a.B/*": read}}, faults: []string{"0:0: /a.B/C"}},
		{name: "service against method", tables: []table{{"/a.B/*": read}, {"/a.B/C": auth0grpc.Public()}}, faults: []string{"0:0: /a.B/C"}},
		{name: "method and service alike", tables: []table{{"/a.B/*": read}, {"/a.B/C": read}}, want: table{"/a.B/*": read, "/a.B/C": read}},
		{name: "service against service", tables: []table{{"/a.B/*": read}, {"/a.B/*": write}}, faults: []string{"0:0: /a.B/*"}},
		{name: "same exception on both sides", tables: []table{{"/a.B/*": read, "/a.B/C": write}, {"/a.B/C": write}}, want: table{"/a.B/*": read, "/a.B/C": write}},
		{name: "exception on one side", tables: []table{{"/a.B/*": read, "/a.B/C": write}, {"/a.B/*": read}}, faults: []string{"0:0: /a.B/C"}},
		{name: "no rule", tables: []table{{"/a.B/C": {}}, {"/a.B/C": {}}}, faults: []string{"0:0: /a.B/C"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := policy.Merge(test.tables...)
			if diff := cmp.Diff(test.faults, places(t, err)); diff != "" {
				t.Errorf("faults (-want +got):\n%s\n%v", diff, err)
			}
			if diff := cmp.Diff(test.want, got, rulesEqual); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeErrorText(t *testing.T) {
	_, err := policy.Merge(table{"/a.B/*": read}, table{"/a.B/C": auth0grpc.Public()})
	const want = `policy: /a.B/C: is "public" in table 2, and "read:a" in table 1 by /a.B/*`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
