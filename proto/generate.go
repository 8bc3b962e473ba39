// Package proto is the root of the .proto files. The options to import are in
// auth0grpc/v1/policy.proto, their Go code in package auth0grpcv1; package policy
// reads them.
package proto

// "go generate ./proto" writes what is generated anew, and checks the style of
// the .proto files. It needs npx, of Node.js; the versions are pinned here and, for
// protoc-gen-go, in go.mod.
//go:generate npx --yes @bufbuild/buf@1.74.0 lint
//go:generate npx --yes @bufbuild/buf@1.74.0 generate
//go:generate npx --yes @bufbuild/buf@1.74.0 build testdata --as-file-descriptor-set --exclude-source-info --output testdata/shop.binpb
