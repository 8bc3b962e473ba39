// Package ordersv1 is the generated code of orders.proto.
package ordersv1

// Made with protoc-gen-go v1.36.12, protoc-gen-go-grpc v1.6.2 and
// protoc-gen-grpc-gateway v2.33.0.
//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative --grpc-gateway_out=. --grpc-gateway_opt=paths=source_relative,grpc_api_configuration=gateway.yaml orders.proto
