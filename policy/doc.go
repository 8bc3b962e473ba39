// Package policy reads and writes the table of package auth0grpc in other forms
// than Go code: JSON documents ([Parse], [Marshal]) and options in .proto files
// ([FromServer]). Every form says the same things and ends in the same
// map[string]auth0grpc.Rule, made by that package's own functions; [Merge] puts
// several together.
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
// Reading is strict. What is not understood is an error and never ignored, as a
// policy of which a part is ignored protects less than it says (GO-2026-6061).
// YAML can be had from any library that turns it into JSON first, at the price of
// lines and columns that are those of the JSON.
package policy
