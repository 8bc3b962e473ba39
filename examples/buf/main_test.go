package main

import (
	"os"
	"strings"
	"testing"
)

// The copy of the options is the current one. "auth0grpc proto" writes it anew.
func TestCopyOfOptions(t *testing.T) {
	want, err := os.ReadFile("../../proto/auth0grpc/v1/policy.proto")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("third_party/auth0grpc/v1/policy.proto")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("third_party has another policy.proto; run: go run ./cmd/auth0grpc proto -out examples/buf/third_party")
	}
}

// docs/proto.md shows the files of this folder.
func TestPage(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page := read("../../docs/proto.md")
	service := read("proto/tea/v1/tea.proto")
	service = service[strings.Index(service, "import"):strings.Index(service, "\nmessage")]
	managed := read("buf.gen.yaml")
	managed = managed[strings.Index(managed, "# Only"):strings.Index(managed, "  override")]
	for _, text := range []string{"```proto\n" + service + "```", "```yaml\n" + read("buf.yaml") + "```", "```yaml\n" + managed + "```"} {
		if !strings.Contains(page, text) {
			t.Errorf("docs/proto.md does not have\n%s", text)
		}
	}
}
