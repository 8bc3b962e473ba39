//go:build !unix

package suite

import "time"

// cpuTime is not known here; the tables show 0.
func cpuTime() time.Duration { return 0 }
