package auth0grpc

import (
	"testing"
	"time"
)

// One reading of the wall clock serves as the start and the time of a decision. A
// clock of the Config's own is read for each decision, and measures no duration.
func TestClockReadings(t *testing.T) {
	own := time.Unix(1700000000, 0)
	started := time.Now()
	for name, test := range map[string]struct {
		clock clock
		want  func(start time.Time) time.Time
	}{
		"wall clock": {clock{now: func() time.Time { return own }, isWall: true}, func(start time.Time) time.Time { return start }},
		"own clock":  {clock{now: func() time.Time { return own }}, func(time.Time) time.Time { return own }},
	} {
		start := test.clock.startTime()
		if elapsed := start.Sub(started); elapsed < 0 || elapsed > time.Minute {
			t.Errorf("%s: startTime is %v from now", name, elapsed)
		}
		if got := test.clock.decisionTime(start); !got.Equal(test.want(start)) {
			t.Errorf("%s: decisionTime = %v, want %v", name, got, test.want(start))
		}
		if got := test.clock.decisionTime(time.Time{}); !got.Equal(own) {
			t.Errorf("%s: decisionTime = %v without a start, want a reading", name, got)
		}
	}
}
