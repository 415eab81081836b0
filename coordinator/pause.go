package coordinator

import "time"

// The pause after a fault: a random time up to a bound that doubles from the first to the longest.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
)

// pause returns how long to wait before the next attempt: full jitter, so that shards that failed together do not come back
// together, on top of what the API asked for, because it asks all of them for the same.
func (a *attempts) pause() time.Duration {
	bound := min(firstPause<<min(a.faults-1, 10), longestPause)
	after := a.after
	a.after = 0
	return after + time.Duration(a.dice.Int64N(int64(bound)))
}
