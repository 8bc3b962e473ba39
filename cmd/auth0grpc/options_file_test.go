package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The proto subcommand writes the file that the repository's own .proto files import.
func TestProto(t *testing.T) {
	want, err := os.ReadFile("../../proto/auth0grpc/v1/policy.proto")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "new")
	for range 2 { // the second time it replaces the file
		status, stdout, stderr := command(t, nil, "proto", "-out", folder)
		name := filepath.Join(folder, "auth0grpc", "v1", "policy.proto")
		if status != exitOK || strings.TrimSpace(stdout) != name {
			t.Fatalf("status %d, stdout %q, stderr %q; want %s", status, stdout, stderr, name)
		}
		if got, err := os.ReadFile(name); err != nil || string(got) != string(want) {
			t.Errorf("another text, %v", err)
		}
	}
	if status, stdout, _ := command(t, nil, "proto", "-out", "-"); status != exitOK || stdout != string(want) {
		t.Errorf("-out -: status %d, %d bytes", status, len(stdout))
	}
	for _, args := range [][]string{{"proto", "x"}, {"proto", "-x"}, {"proto", "-out", file(t, "")}} {
		if status, stdout, stderr := command(t, nil, args...); status != exitUsage || stdout != "" || stderr == "" {
			t.Errorf("%v: status %d, stdout %q, stderr %q", args, status, stdout, stderr)
		}
	}
	if status, _, stderr := command(t, nil, "proto", "-h"); status != exitOK || !strings.Contains(stderr, "-out") {
		t.Errorf("-h: status %d, stderr %q", status, stderr)
	}
}
