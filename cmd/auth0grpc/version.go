package main

import "runtime/debug"

const modulePath = "github.com/auth0grpc/auth0grpc"

// version returns the version of the module that the command was built from, as
// the go command recorded it. It is "(devel)" if the command was built in a clone.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	if info.Main.Path == modulePath {
		return info.Main.Version
	}
	for _, dependency := range info.Deps {
		if dependency.Path == modulePath {
			return dependency.Version
		}
	}
	return "(unknown)"
}
