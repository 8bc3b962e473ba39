// Package clamp has a test that misses some changes.
package clamp

// Clamp returns n, at least 0 and at most limit, and reports whether it is n.
func Clamp(n, limit int) (int, bool) {
	if n < 0 {
		return 0, false
	}
	if n > limit || limit > 100 {
		n = limit
		return n, false
	}
	return n, true
}
