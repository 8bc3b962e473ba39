package schematest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/policy"
)

// parseYAML is the reader that the documentation of package policy shows.
func parseYAML(data []byte) (map[string]auth0grpc.Rule, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second any
	if err := decoder.Decode(&document); err != nil { // rejects duplicate keys
		return nil, err
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("policy: more than one YAML document")
	}
	text, err := json.Marshal(document) // rejects keys that are not strings
	if err != nil {
		return nil, err
	}
	return policy.Parse(text)
}

func TestYAML(t *testing.T) {
	const row = "methods:\n  /a.B/C: {scopes: [read:a]}\n"
	for _, test := range []struct{ name, text, want string }{
		{"sound", row, ""},
		{"with a comment", "# rows\n" + row, ""},
		{"duplicate row", row + "  /a.B/C: {public: true}\n", "already defined"},
		{"duplicate rows", row + row, "already defined"},
		{"duplicate rule", "methods:\n  /a.B/C: {scopes: [read:a], scopes: [read:b]}\n", "already defined"},
		{"second document", row + "---\n" + row, "more than one"},
		{"malformed second document", row + "---\n{", "more than one"},
		{"empty", "", "EOF"},
		{"number as key", "methods:\n  1: {public: true}\n", "json:"},
		{"word for true", "methods:\n  /a.B/C: {public: yes}\n", "want true"},
		{"number as scope", "methods:\n  /a.B/C: {scopes: [1]}\n", "want a string"},
		{"unknown member", row + "version: 1\n", "is unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			methods, err := parseYAML([]byte(test.text))
			if test.want == "" {
				if err != nil || methods["/a.B/C"].String() != "read:a" {
					t.Errorf("table %v, error %v", methods, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("table %v, error %v, want %q", methods, err, test.want)
			}
		})
	}
}
