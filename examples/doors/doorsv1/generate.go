// Package doorsv1 is the generated code of doors.proto.
package doorsv1

// Made with protoc-gen-go v1.36.12, protoc-gen-go-grpc v1.6.2 and
// protoc-gen-grpc-gateway v2.33.0. GOOGLEAPIS is a copy of github.com/googleapis/googleapis.
//go:generate protoc -I. -I../../internal/orders/v1 -I$GOOGLEAPIS --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative --grpc-gateway_out=. --grpc-gateway_opt=paths=source_relative doors.proto
