package auth0grpc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A ConfigError is one fault in a [Config]. [New] returns all of them together, joined
// by errors.Join and sorted by field.
type ConfigError struct {
	Field  string // the field, with the key of a map: Methods["/a.B/C"]
	Value  string // the faulty value; empty if it is missing
	Reason string // the fault and the remedy
}

// Error names the field, the value, the fault and the remedy.
func (e *ConfigError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("auth0grpc: Config.%s %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("auth0grpc: Config.%s: %q: %s", e.Field, e.Value, e.Reason)
}

// joinFaults joins the faults in the order of their texts.
func joinFaults(faults []*ConfigError) error {
	texts := make(map[*ConfigError]string, len(faults)) // a table may have a fault in each row
	for _, fault := range faults {
		texts[fault] = fault.Error()
	}
	slices.SortFunc(faults, func(a, b *ConfigError) int { return strings.Compare(texts[a], texts[b]) })
	errs := make([]error, len(faults))
	for i, fault := range faults {
		errs[i] = fault
	}
	return errors.Join(errs...)
}
