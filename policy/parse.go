package policy

import (
	"bytes"

	"github.com/auth0grpc/auth0grpc"
	"github.com/auth0grpc/auth0grpc/internal/grammar"
)

// Parse reads a table from a JSON document in UTF-8, with or without a byte order mark.
// The document is one object. Its member "methods" holds the rows; editors use the
// optional "$schema". Each of the following is an error: text that is not JSON, an
// unknown member, a repeated member, a value of another type, an empty or invalid name,
// a rule that states nothing or two things, a flag that is not true, and a key that is
// neither a full method nor a service. Parse reports all errors at once, as [*Error]
// joined by errors.Join, in the order of the document. The table is then nil.
//
// [auth0grpc.New] accepts each table that Parse returns, except one without rows.
func Parse(data []byte) (map[string]auth0grpc.Rule, error) {
	// RFC 8259, section 8.1, lets a reader ignore a byte order mark. Some editors write one.
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	errs := &faults{doc: data}
	methods := map[string]auth0grpc.Rule{}
	if root, ok := parseNode(data, errs); ok {
		errs.document(root, methods)
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	return methods, nil
}

func (f *faults) document(root node, methods map[string]auth0grpc.Rule) {
	members, ok := root.val.(object)
	if !ok {
		f.add(root.offset, "$", `want an object with the member "methods"`)
		return
	}
	var rows bool
	for _, m := range members {
		path := "$" + memberStep(m.name)
		switch m.name {
		case "$schema":
			if _, ok := m.value.val.(string); !ok {
				f.add(m.value.offset, path, "want a string")
			}
		case "methods":
			rows = true
			f.rows(path, m.value, methods)
		default:
			f.add(m.offset, path, `is unknown; want "methods"`)
		}
	}
	if !rows {
		f.add(root.offset, "$", `has no member "methods"`)
	}
}

func (f *faults) rows(path string, n node, methods map[string]auth0grpc.Rule) {
	members, ok := n.val.(object)
	if !ok {
		f.add(n.offset, path, "want an object whose members are rows")
		return
	}
	for _, m := range members {
		memberPath := path + memberStep(m.name)
		if !grammar.IsMethodPattern(m.name) {
			f.add(m.offset, memberPath, `is not a full method; want "/pkg.Service/Method" or "/pkg.Service/*"`)
		}
		methods[m.name] = f.row(memberPath, m.value)
	}
}
