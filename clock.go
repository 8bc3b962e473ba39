package auth0grpc

import "time"

// A clock is the clock of a Config.
type clock struct {
	now    func() time.Time
	isWall bool // now is time.Now
}

// monotonicBase anchors readings of the monotonic clock.
var monotonicBase = time.Now()

// startTime returns a time from which time.Since measures. If the Config has no
// clock of its own, [clock.decisionTime] uses it as the current time and saves a
// reading. Otherwise only the monotonic clock is read, at half the cost.
func (c *clock) startTime() time.Time {
	if c.isWall {
		return time.Now()
	}
	return monotonicBase.Add(time.Since(monotonicBase))
}

// decisionTime returns the time of a decision that began at start, which is zero if
// the clock was not read.
func (c *clock) decisionTime(start time.Time) time.Time {
	if c.isWall && !start.IsZero() {
		return start
	}
	return c.now()
}
