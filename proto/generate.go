// Package proto is the root of the .proto files. The options to import are in
// auth0grpc/v1/policy.proto, their Go code in package auth0grpcv1; package policy
// reads them.
package proto

//go:generate ./generate
