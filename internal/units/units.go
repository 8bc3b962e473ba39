// Package units checks durations that a program configures.
package units

import (
	"fmt"
	"time"
)

// TooShort explains the fault of a duration that is above zero and below least, and
// returns "" for any other. Such a value is mostly a plain number: a constant without a
// unit, such as 60, counts nanoseconds.
func TooShort(d, minimum time.Duration) string {
	if d <= 0 || d >= minimum {
		return ""
	}
	reason := fmt.Sprintf("want at least %v", minimum)
	if d >= time.Millisecond {
		return reason
	}
	unit := "Second"
	if d >= 100*time.Microsecond { // as seconds it would be a day and more
		unit = "Millisecond"
	}
	return fmt.Sprintf("%s; a number without a unit counts nanoseconds: did you mean %d*time.%s?", reason, d, unit)
}
