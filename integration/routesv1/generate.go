// Package routesv1 is the generated code of routes.proto.
package routesv1

//go:generate ./generate
