// Package auth0grpcv1 has the Go code of auth0grpc/v1/policy.proto, the options that
// state rules in .proto files. Programs import it for their generated code; package
// policy of github.com/auth0grpc/auth0grpc reads the options.
package auth0grpcv1
