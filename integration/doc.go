// Package integration holds the tests of auth0grpc against software that its authors
// did not write: a certified OpenID Provider, an Auth0 simulator, gRPC clients of other
// languages, proxies, and Auth0's own middlewares as judges.
//
// The script run installs the software that the tests need and runs them. With go test
// alone, a test whose software is missing says so and is skipped. The test run also
// compares docs/flows.md and docs/differences.md with its results; the flag -update
// writes them.
package integration
