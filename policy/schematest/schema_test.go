// Package schematest holds docs/policy.schema.json to the parser of package
// policy. It is a module of its own so that a JSON Schema validator is no
// requirement of the library.
package schematest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/auth0grpc/auth0grpc/policy"
	"github.com/auth0grpc/auth0grpc/policy/internal/corpus"
	auth0grpcv1 "github.com/auth0grpc/auth0grpc/proto/auth0grpc/v1"
)

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiled, err := jsonschema.NewCompiler().Compile("../../docs/policy.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// TestSchemaAndParserAgree is that both accept the same documents of the corpus,
// except faults that a schema cannot see, which each such document names.
func TestSchemaAndParserAgree(t *testing.T) {
	compiled := schema(t)
	for _, document := range corpus.Documents() {
		t.Run(document.Name, func(t *testing.T) {
			_, parserErr := policy.Parse([]byte(document.Text))
			schemaErr := judge(compiled, document.Text)
			switch {
			case document.SchemaBlind != "":
				t.Logf("not for a schema to see: %s", document.SchemaBlind)
				if parserErr == nil {
					t.Error("the parser accepts it as well")
				}
			case (parserErr == nil) != (schemaErr == nil):
				t.Errorf("parser: %v\nschema: %v", parserErr, schemaErr)
			}
		})
	}
}

// judge returns the schema's verdict on a document, or the error of encoding/json
// on one that is not JSON.
func judge(compiled *jsonschema.Schema, text string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}

// TestSchemaNamesTheFieldsOfTheOptions is that JSON and proto can say the same.
func TestSchemaNamesTheFieldsOfTheOptions(t *testing.T) {
	var want []string
	fields := new(auth0grpcv1.Rule).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		want = append(want, fields.Get(i).JSONName())
	}
	slices.Sort(want)
	row := schema(t).Properties["methods"].AdditionalProperties.(*jsonschema.Schema).Ref
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(row.Properties))); diff != "" {
		t.Errorf("members of a row (-proto +schema):\n%s", diff)
	}
}
