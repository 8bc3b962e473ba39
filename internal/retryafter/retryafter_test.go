package retryafter

import (
	"net/http"
	"testing"
	"time"
)

func TestWait(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	later := now.Add(time.Minute)
	for _, test := range []struct {
		name   string
		status int
		header http.Header
		want   time.Duration
	}{
		{"nothing", 503, http.Header{}, 0},
		{"seconds", 503, http.Header{"Retry-After": {"7"}}, 7 * time.Second},
		{"a date", 503, http.Header{"Retry-After": {later.Format(http.TimeFormat)}}, time.Minute},
		{"by the clock of the response", 503, http.Header{
			"Retry-After": {later.Format(http.TimeFormat)}, "Date": {now.Add(50 * time.Second).Format(http.TimeFormat)},
		}, 10 * time.Second},
		{"the past", 503, http.Header{"Retry-After": {now.Add(-time.Hour).Format(http.TimeFormat)}}, 0},
		{"too long", 503, http.Header{"Retry-After": {"86400"}}, Max},
		{"out of range", 503, http.Header{"Retry-After": {"99999999999999999999"}}, Max},
		{"not a number", 503, http.Header{"Retry-After": {"soon"}}, 0},
		{"negative", 503, http.Header{"Retry-After": {"-5"}}, 0},
		{"reset", 429, http.Header{"X-Ratelimit-Reset": {"1772366409"}}, 9 * time.Second},
		{"reset far ahead", 429, http.Header{"X-Ratelimit-Reset": {"18446744073709551615"}}, Max},
		{"reset out of range", 429, http.Header{"X-Ratelimit-Reset": {"99999999999999999999"}}, Max},
		{"reset of another status", 503, http.Header{"X-Ratelimit-Reset": {"1772366409"}}, 0},
		{"the longer of both", 429, http.Header{"X-Ratelimit-Reset": {"1772366409"}, "Retry-After": {"12"}}, 12 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Wait(&http.Response{StatusCode: test.status, Header: test.header}, now); got != test.want {
				t.Errorf("Wait = %v, want %v", got, test.want)
			}
		})
	}
}

// A client that waits for the seconds does not come back too early.
func TestSeconds(t *testing.T) {
	for delay, want := range map[time.Duration]string{
		time.Millisecond: "1", time.Second: "1", time.Second + 1: "2", 90 * time.Second: "90",
	} {
		got := Seconds(delay)
		if got != want || Parse(got, time.Time{}) < delay {
			t.Errorf("Seconds(%v) = %s, want %s", delay, got, want)
		}
	}
}
