// Package ordersv1 is generated from orders.proto.
package ordersv1

// With protoc-gen-go v1.36.12 and protoc-gen-go-grpc v1.6.2 on the path:
//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative orders.proto
