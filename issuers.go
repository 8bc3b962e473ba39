package auth0grpc

import (
	"maps"
	"slices"
)

// Issuers returns the accepted issuers of [Config.Issuers], in the order of their texts.
// Packages that call [Interceptor.Revoke] check their configuration with it. The zero
// Interceptor has none.
func (i *Interceptor) Issuers() []string {
	if i.verifier == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(i.verifier.issuers))
}
