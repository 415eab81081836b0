package quota

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limit is a limit of N requests in any stretch of time as long as Window. The zero Limit is not known and will be learned.
type Limit struct {
	N      int
	Window time.Duration
}

// Unlimited is the N of an endpoint that has no limit. It is not paced.
const Unlimited = -1

// The windows that can be paced. If one were shorter, the margin for the network's jitter would be most of it.
const (
	shortestWindow = 500 * time.Millisecond
	longestWindow  = 24 * time.Hour
)

// ParseLimit reads the form that String writes: "50/60s", "200/5m"; a window without a unit is in seconds. "none" is the Limit of an
// unlimited endpoint, and "auto" or an empty text the zero Limit.
func ParseLimit(s string) (Limit, error) {
	switch s {
	case "none":
		return Limit{N: Unlimited}, nil
	case "auto", "":
		return Limit{}, nil
	}
	count, window, _ := strings.Cut(s, "/")
	if _, err := strconv.ParseUint(window, 10, 64); err == nil {
		window += "s"
	}
	n, err := strconv.Atoi(count)
	w, werr := time.ParseDuration(window)
	if errors.Join(err, werr) != nil || n <= 0 {
		return Limit{}, fmt.Errorf("parse limit %q: want requests/window as in 50/60s, or none, or auto", s)
	}
	l := Limit{N: n, Window: w}
	return l, l.validate()
}

// String writes the limit in the form that ParseLimit reads.
func (l Limit) String() string {
	switch {
	case l.N < 0:
		return "none"
	case l.N == 0:
		return "auto"
	case l.Window%time.Second == 0:
		return fmt.Sprintf("%d/%ds", l.N, l.Window/time.Second)
	}
	return fmt.Sprintf("%d/%s", l.N, l.Window)
}

func (l Limit) validate() error {
	if l.N < Unlimited {
		return fmt.Errorf("limit %d: must not be negative", l.N)
	}
	if l.N > 0 && (l.Window < shortestWindow || l.Window > longestWindow) {
		return fmt.Errorf("limit %s: its window must be between %s and %s", l, shortestWindow, longestWindow)
	}
	return nil
}
