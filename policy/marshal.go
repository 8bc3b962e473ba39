package policy

import (
	"bytes"
	"maps"
	"slices"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/grammar"
)

// Marshal writes the table as the document that [Parse] reads, a row a line,
// sorted, with a newline at the end. Equal tables give equal documents. A row that
// auth0grpc.New would refuse is an error; all of them are reported at once, as
// [*Error] joined by errors.Join.
func Marshal(methods map[string]auth0grpc.Rule) ([]byte, error) {
	var errs faults
	var b bytes.Buffer
	b.WriteString("{\n  \"methods\": {")
	for i, key := range slices.Sorted(maps.Keys(methods)) {
		if !grammar.IsMethodPattern(key) {
			errs.add(0, key, `is not a full method; want "/pkg.Service/Method" or "/pkg.Service/*"`)
		}
		rule, err := methods[key].MarshalJSON()
		if err != nil {
			errs.add(0, key, "%v", err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n    \"" + key + "\": ")
		b.Write(rule)
	}
	if len(methods) > 0 {
		b.WriteString("\n  ")
	}
	b.WriteString("}\n}\n")
	if err := errs.err(); err != nil {
		return nil, err
	}
	if err := checkRoundTrip(b.Bytes(), methods); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// checkRoundTrip returns an error for each row that Parse would read otherwise. It
// guards against a rule whose JSON says less than the rule: no document is better than
// a weaker one.
func checkRoundTrip(document []byte, methods map[string]auth0grpc.Rule) error {
	read, err := Parse(document)
	if err != nil {
		return err
	}
	var errs faults
	for key, rule := range methods {
		if decoded := read[key]; decoded.String() != rule.String() {
			errs.add(0, key, "cannot be written: %q would be read as %q", rule, decoded)
		}
	}
	return errs.err()
}
