package proto

import _ "embed"

// Options is the text of the options, the file auth0grpc/v1/policy.proto. A project that
// compiles its own .proto files needs a copy of it.
//
//go:embed auth0grpc/v1/policy.proto
var Options string
