// Package retryafter reads how long a response of Auth0 asks its client to wait.
package retryafter

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Max is the longest wait that [Wait] returns.
const Max = 5 * time.Minute

// Wait returns how long a response asks the client to wait: the longer of
// Retry-After (RFC 9110, section 10.2.3) and, with 429, Auth0's x-ratelimit-reset in
// Unix seconds. Times are relative to the Date of the response, so that the client's
// clock does not matter; without a Date they are relative to now.
func Wait(response *http.Response, now time.Time) time.Duration {
	header := response.Header
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	wait := Parse(header.Get("Retry-After"), now)
	if response.StatusCode == http.StatusTooManyRequests {
		reset, err := strconv.ParseUint(header.Get("X-Ratelimit-Reset"), 10, 64)
		if err == nil || errors.Is(err, strconv.ErrRange) {
			latest := uint64(max(0, now.Add(Max).Unix())) // a time beyond int64 has no Sub
			wait = max(wait, time.Unix(int64(min(reset, latest)), 0).Sub(now))
		}
	}
	return min(max(wait, 0), Max)
}

// Seconds returns delay as the value of Retry-After: whole seconds, rounded up.
func Seconds(delay time.Duration) string {
	return strconv.FormatInt(int64((delay+time.Second-1)/time.Second), 10)
}

// Parse returns the delay of a value of Retry-After: seconds or a date. It returns 0 for a
// missing or malformed one, and Max for seconds beyond 31 bits.
func Parse(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return Max
	}
	if at, err := http.ParseTime(value); err == nil {
		return at.Sub(now)
	}
	return 0
}
