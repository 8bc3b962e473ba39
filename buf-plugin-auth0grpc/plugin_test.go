package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"buf.build/go/bufplugin/check/checktest"
	"github.com/google/go-cmp/cmp"
)

func TestSpec(t *testing.T) { checktest.SpecTest(t, spec) }

// files returns the files of a folder in testdata, with the options.
func files(folder string) *checktest.ProtoFileSpec {
	return &checktest.ProtoFileSpec{DirPaths: []string{filepath.Join("testdata", folder), "../proto"}, FilePaths: []string{"orders.proto"}}
}

// at returns a place in the file of a test; lines and columns count from 0.
func at(line, column, endLine, endColumn int) *checktest.ExpectedFileLocation {
	return &checktest.ExpectedFileLocation{FileName: "orders.proto", StartLine: line, StartColumn: column, EndLine: endLine, EndColumn: endColumn}
}

func TestRules(t *testing.T) {
	const looser = " is looser than before: The new table admits "
	for _, test := range []struct {
		name           string
		files, against string
		allow          []string
		rule           string
		want           []checktest.ExpectedAnnotation
	}{
		{"every RPC has a rule", "good", "", nil, ruleRequired, nil},
		{"an RPC without a rule", "old", "", nil, ruleRequired, []checktest.ExpectedAnnotation{{
			RuleID: ruleRequired, FileLocation: at(25, 2, 25, 47),
			Message: "rpc Open has no rule, so every call is refused: state option (auth0grpc.v1.rule), or (auth0grpc.v1.default_rule) of the service",
		}}},
		{"valid", "old", "", nil, ruleValid, nil},
		{"faults", "faulty", "", nil, ruleValid, []checktest.ExpectedAnnotation{
			{RuleID: ruleValid, FileLocation: at(10, 2, 14, 3), Message: `orders.v1.OrdersService.Get(auth0grpc.v1.rule).scopes[0]: "read orders" has characters that no scope can have; give each name as an element of its own`},
			{RuleID: ruleValid, FileLocation: at(15, 2, 20, 3), Message: "orders.v1.OrdersService.Put(auth0grpc.v1.rule).public: states a second rule beside scopes; combine them by allOf or anyOf"},
		}},
		{"rules with faults are not compared", "faulty", "good", nil, notLooser, []checktest.ExpectedAnnotation{
			{RuleID: notLooser, FileLocation: at(10, 2, 14, 3), Message: `orders.v1.OrdersService.Get(auth0grpc.v1.rule).scopes[0]: "read orders" has characters that no scope can have; give each name as an element of its own`},
			{RuleID: notLooser, FileLocation: at(15, 2, 20, 3), Message: "orders.v1.OrdersService.Put(auth0grpc.v1.rule).public: states a second rule beside scopes; combine them by allOf or anyOf"},
		}},
		{"the same", "old", "old", nil, notLooser, nil},
		{"looser", "new", "old", nil, notLooser, []checktest.ExpectedAnnotation{
			{
				RuleID: notLooser, FileLocation: at(22, 2, 29, 3), AgainstFileLocation: at(12, 2, 19, 3),
				Message: "rpc Put" + looser + "a token with scope read:orders, which the old one refuses. Allow it by the option allow of this plugin",
			},
			{
				RuleID: notLooser, FileLocation: at(30, 2, 32, 3), AgainstFileLocation: at(20, 2, 24, 3),
				Message: "rpc Refund" + looser + "a call without a token, which the old one refuses. Allow it by the option allow of this plugin",
			},
		}},
		{"allowed", "new", "old", []string{"/orders.v1.OrdersService/Put", "/orders.v1.OrdersService/Refund"}, notLooser, nil},
		{"a default rule that is stricter, or absent before", "good", "old", nil, notLooser, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := &checktest.RequestSpec{Files: files(test.files), RuleIDs: []string{test.rule}}
			if test.against != "" {
				request.AgainstFiles = files(test.against)
			}
			if test.allow != nil {
				request.Options = map[string]any{allowOption: test.allow}
			}
			checktest.CheckTest{Request: request, Spec: spec, ExpectedAnnotations: test.want}.Run(t)
		})
	}
}

// TestBuf runs the plugin in the real buf, on files with and without faults.
func TestBuf(t *testing.T) {
	npx, err := exec.LookPath("npx")
	if err != nil {
		t.Skip("Node.js is not installed")
	}
	bin := t.TempDir()
	if output, err := exec.Command("go", "build", "-o", filepath.Join(bin, "buf-plugin-auth0grpc"), ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	workspaces := t.TempDir()
	for _, folder := range []string{"old", "new", "good", "faulty"} {
		workspace(t, filepath.Join(workspaces, folder), folder, "")
	}
	workspace(t, filepath.Join(workspaces, "allowed"), "new", "\n    options:\n      allow: [/orders.v1.OrdersService/Put, /orders.v1.OrdersService/Refund]")
	for _, test := range []struct {
		folder string
		args   []string
		want   []string // findings; none if buf succeeds
	}{
		{"good", []string{"lint", "proto"}, nil},
		{"old", []string{"lint", "proto"}, []string{"proto/orders.proto:26:3:rpc Open has no rule, so every call is refused: state option (auth0grpc.v1.rule), or (auth0grpc.v1.default_rule) of the service (buf-plugin-auth0grpc)"}},
		{"faulty", []string{"lint", "proto"}, []string{
			`proto/orders.proto:11:3:orders.v1.OrdersService.Get(auth0grpc.v1.rule).scopes[0]: "read orders" has characters that no scope can have; give each name as an element of its own (buf-plugin-auth0grpc)`,
			"proto/orders.proto:16:3:orders.v1.OrdersService.Put(auth0grpc.v1.rule).public: states a second rule beside scopes; combine them by allOf or anyOf (buf-plugin-auth0grpc)",
		}},
		{"new", []string{"breaking", "proto", "--against", "../old/proto"}, []string{
			"proto/orders.proto:23:3:rpc Put is looser than before: The new table admits a token with scope read:orders, which the old one refuses. Allow it by the option allow of this plugin (buf-plugin-auth0grpc)",
			"proto/orders.proto:31:3:rpc Refund is looser than before: The new table admits a call without a token, which the old one refuses. Allow it by the option allow of this plugin (buf-plugin-auth0grpc)",
		}},
		{"allowed", []string{"breaking", "proto", "--against", "../old/proto"}, nil},
		{"old", []string{"breaking", "proto", "--against", "../old/proto"}, nil},
	} {
		t.Run(test.folder+" "+test.args[0], func(t *testing.T) {
			command := exec.Command(npx, append([]string{"--yes", "@bufbuild/buf@1.74.0"}, test.args...)...)
			command.Dir = filepath.Join(workspaces, test.folder)
			command.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			output, err := command.CombinedOutput()
			var got []string
			for line := range strings.SplitSeq(strings.TrimSpace(string(output)), "\n") {
				if line != "" {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if status := command.ProcessState.ExitCode(); (status == 0) != (len(test.want) == 0) {
				t.Errorf("status %d, %v", status, err)
			}
		})
	}
}

// workspace writes a workspace of buf with the files of a folder in testdata.
func workspace(t *testing.T, dir, folder, options string) {
	t.Helper()
	config := fmt.Sprintf(`version: v2
modules:
  - path: proto
  - path: third_party
lint:
  use: [AUTH0GRPC_RULE_REQUIRED, AUTH0GRPC_RULE_VALID]
breaking:
  use: [AUTH0GRPC_NOT_LOOSER]
plugins:
  - plugin: buf-plugin-auth0grpc%s
`, options)
	for name, source := range map[string]string{
		"buf.yaml": "", "proto/orders.proto": filepath.Join("testdata", folder, "orders.proto"),
		"third_party/auth0grpc/v1/policy.proto": "../proto/auth0grpc/v1/policy.proto",
	} {
		text := []byte(config)
		if source != "" {
			var err error
			if text, err = os.ReadFile(source); err != nil {
				t.Fatal(err)
			}
		}
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
