package apisim

import (
	"fmt"
	"time"
)

// The profiles.
const (
	Challenge = "challenge" // the real API's limits, latency and lifetimes
	Demo      = "demo"      // the same, ten times faster
	Unlimited = "unlimited" // no limits, no latency, no cache: pages as fast as the machine can
)

// Profile returns the configuration of a profile, to be changed further. Its seed is 1.
func Profile(name string) (Config, error) {
	switch name {
	case Challenge:
		return observed(1), nil
	case Demo:
		return observed(10), nil
	case Unlimited:
		return Config{Seed: 1}, nil
	}
	return Config{}, fmt.Errorf("profile %q is not one of %s, %s, %s", name, Challenge, Demo, Unlimited)
}

// observed is the API as many people saw it (api.md, sections 2, 4, 5 and 7), so many times faster.
func observed(faster time.Duration) Config {
	limit := func(requests int) Limit { return Limit{Requests: requests, Window: time.Minute / faster} }
	feed := limit(50)
	feed.Hidden = true
	return Config{
		Seed: 1,
		List: limit(10), Feed: feed, Sessions: limit(40), Metrics: limit(30), Bulk: limit(20),
		QueryLimit: 5,
		CursorLife: 120 * time.Second / faster,
		TokenLife:  300 * time.Second / faster,
		CacheLife:  30 * time.Second / faster,
		Latency: Latency{
			Page: 3000 * time.Millisecond, Jitter: 475 * time.Millisecond, PerEvent: 45 * time.Microsecond,
			Hit: 60 * time.Millisecond, Token: 210 * time.Millisecond, Other: 100 * time.Millisecond,
			Ceiling: 5500, Scale: 1 / float64(faster),
		},
	}
}
