package units

import (
	"testing"
	"time"
)

func TestTooShort(t *testing.T) {
	for _, test := range []struct {
		d, least time.Duration
		want     string
	}{
		{0, time.Second, ""},
		{-1, time.Second, ""},
		{time.Second, time.Second, ""},
		{time.Second - 1, time.Second, "want at least 1s"},
		{time.Millisecond, time.Second, "want at least 1s"},
		{time.Millisecond - 1, time.Millisecond, "want at least 1ms; a number without a unit counts nanoseconds: did you mean 999999*time.Millisecond?"},
		{1, time.Second, "want at least 1s; a number without a unit counts nanoseconds: did you mean 1*time.Second?"},
		{86400, time.Second, "want at least 1s; a number without a unit counts nanoseconds: did you mean 86400*time.Second?"},
		{300000, time.Second, "want at least 1s; a number without a unit counts nanoseconds: did you mean 300000*time.Millisecond?"},
	} {
		if got := TooShort(test.d, test.least); got != test.want {
			t.Errorf("TooShort(%d, %v) = %q, want %q", test.d, test.least, got, test.want)
		}
	}
}
