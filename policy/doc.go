// Package policy reads and writes the table of package auth0grpc in other forms
// than Go code: JSON documents ([Parse], [Marshal]) and options in .proto files
// ([FromServer]). Every form says the same things and ends in the same
// map[string]auth0grpc.Rule, made by that package's own functions; [Merge] puts
// several together. [Compare] decides which methods of a new table admit more or fewer
// calls.
//
// A document looks like this; docs/policy.schema.json describes it in full:
//
//	{
//	  "methods": {
//	    "/orders.v1.Orders/Get": {"scopes": ["read:orders"]},
//	    "/orders.v1.Orders/Put": {"anyScope": ["write:orders", "admin"]},
//	    "/grpc.health.v1.Health/*": {"public": true}
//	  }
//	}
//
// Parse is strict. Each member that it does not know is an error: a policy of which a
// part is ignored protects less than it says (GO-2026-6061).
//
// For YAML, convert the file to JSON by a reader that is strict as well. This one
// rejects duplicate keys and a second document; lines and columns of errors refer
// to the JSON. yaml is go.yaml.in/yaml/v3:
//
//	decoder := yaml.NewDecoder(bytes.NewReader(data))
//	var document, second any
//	if err := decoder.Decode(&document); err != nil { // rejects duplicate keys
//		return nil, err
//	}
//	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
//		return nil, errors.New("policy: more than one YAML document")
//	}
//	text, err := json.Marshal(document) // rejects keys that are not strings
//	if err != nil {
//		return nil, err
//	}
//	return policy.Parse(text)
//
// yaml.Unmarshal does not suffice: it ignores all documents but the first.
package policy
