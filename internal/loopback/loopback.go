// Package loopback recognizes the hosts that are this machine.
package loopback

import (
	"net/netip"
	"strings"
)

// IsHost reports whether host, without a port, is a loopback address or "localhost"
// in any case. It resolves no names.
func IsHost(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}
