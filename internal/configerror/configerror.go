// Package configerror has the text and the order of configuration errors, for the
// packages that export a ConfigError.
package configerror

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Text returns the text of one fault in a field of the Config of package pkg. value is
// empty if it is missing or secret.
func Text(pkg, field, value, reason string) string {
	if value == "" {
		return fmt.Sprintf("%s: Config.%s %s", pkg, field, reason)
	}
	return fmt.Sprintf("%s: Config.%s: %q: %s", pkg, field, value, reason)
}

// Join joins faults in the order of their texts. It calls Error once for each.
func Join[E error](faults []E) error {
	type fault struct {
		err  error
		text string
	}
	sorted := make([]fault, len(faults))
	for i, err := range faults {
		sorted[i] = fault{err, err.Error()}
	}
	slices.SortFunc(sorted, func(a, b fault) int { return cmp.Compare(a.text, b.text) })
	errs := make([]error, len(sorted))
	for i, fault := range sorted {
		errs[i] = fault.err
	}
	return errors.Join(errs...)
}
