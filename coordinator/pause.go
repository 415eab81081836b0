package coordinator

import (
	"context"
	"math/rand/v2"
	"time"
)

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
	return after + rand.N(bound)
}

// pause waits for d. It returns why ctx ended if that comes first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
