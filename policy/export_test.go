package policy

import (
	"maps"
	"slices"
)

// CheckRoundTrip is for tests of a guard that no public function reaches.
var CheckRoundTrip = checkRoundTrip

// Modifiers returns the members of a row that no part of a rule has.
func Modifiers() []string { return slices.Sorted(maps.Keys(modifiers)) }
