//go:build !unix

package suite

import "time"

// cpuTime returns 0: the time is unknown here.
func cpuTime() time.Duration { return 0 }
