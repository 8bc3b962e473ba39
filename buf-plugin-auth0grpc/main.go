// Command buf-plugin-auth0grpc checks the rules in .proto files by "buf lint" and
// "buf breaking": every RPC has a rule, and no RPC is looser than before. Add it to the
// tools of your module:
//
//	go get -tool github.com/auth0grpc/auth0grpc/buf-plugin-auth0grpc@latest
//
// and name it in buf.yaml:
//
//	lint:
//	  use: [STANDARD, AUTH0GRPC_RULE_REQUIRED, AUTH0GRPC_RULE_VALID]
//	breaking:
//	  use: [FILE, AUTH0GRPC_NOT_LOOSER]
//	plugins:
//	  - plugin: ["go", "tool", "buf-plugin-auth0grpc"]
//	    options:
//	      allow: [/orders.v1.Orders/Get] # RPCs that may be looser
//
// The rules are the options of auth0grpc/v1/policy.proto. Rows in JSON or in Go code are
// not seen: compare those by "auth0grpc diff".
package main

import "buf.build/go/bufplugin/check"

func main() { check.Main(spec) }
