package quota

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestRetryAfter is what a longer Retry-After is taken for: more than any run waits, and small enough to be added
// to any time.
const longestRetryAfter = 365 * 24 * time.Hour

// ParseRetryAfter reads the header Retry-After (RFC 9110, 10.2.3) in both its forms, seconds and an HTTP date, and
// tells whether it could be read. Parts of a second, which some servers send against the RFC, are rounded up: one
// request too early costs more than a second. A date is compared with now, so a clock that is wrong makes the wait
// wrong; a date that is past is 0.
func ParseRetryAfter(header string, now time.Time) (time.Duration, bool) {
	header = strings.TrimSpace(header)
	if t, err := http.ParseTime(header); err == nil {
		return wholeSeconds(t.Sub(now).Seconds()), true
	}
	if strings.Trim(header, "0123456789.") != "" { // no sign, exponent, Inf or NaN
		return 0, false
	}
	seconds, err := strconv.ParseFloat(header, 64)
	if err != nil && !math.IsInf(seconds, 1) {
		return 0, false
	}
	return wholeSeconds(seconds), true
}

// wholeSeconds rounds up, within 0 and longestRetryAfter.
func wholeSeconds(s float64) time.Duration {
	return time.Duration(min(max(0, math.Ceil(s)), longestRetryAfter.Seconds())) * time.Second
}
