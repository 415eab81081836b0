package apisim

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"
)

// withDefaults fills in what is not set.
func (c Config) withDefaults() Config {
	c.Events = cmp.Or(c.Events, realEvents)
	c.Newest = orTime(c.Newest, time.UnixMilli(realNewest))
	if c.Live.Rate > 0 {
		c.Oldest = orTime(c.Oldest, c.Newest.Add((realOldest-realNewest)*time.Millisecond))
	}
	c.Oldest = orTime(c.Oldest, time.UnixMilli(realOldest))
	c.SkewStart = orTime(c.SkewStart, c.Oldest.Add(c.Newest.Sub(c.Oldest)/2).Truncate(time.Hour))
	c.Algorithm = cmp.Or(c.Algorithm, SlidingAll)
	c.QueryLimit = cmp.Or(c.QueryLimit, c.List.Requests)
	c.RetryAfter = cmp.Or(c.RetryAfter, RetryBoth)
	c.PageCap = cmp.Or(c.PageCap, 5000)
	c.ListDefault, c.FeedDefault = cmp.Or(c.ListDefault, 100), cmp.Or(c.FeedDefault, 25)
	c.Window = cmp.Or(c.Window, WindowFeed)
	c.CursorFault = cmp.Or(c.CursorFault, BadCursor400)
	c.CursorLife = cmp.Or(c.CursorLife, 120*time.Second)
	c.TokenLife = cmp.Or(c.TokenLife, 300*time.Second)
	c.Gate = cmp.Or(c.Gate, GateBrowser)
	c.Live, c.Latency = c.Live.withDefaults(), c.Latency.withDefaults()
	c.Faults = c.Faults.withDefaults()
	return c
}

func orTime(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

// validate returns everything that is wrong with c, whose defaults are filled in.
func (c *Config) validate() error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Events < None || c.Events > maxSerials {
		bad("Events: %d is not %d to %d", c.Events, None, int64(maxSerials))
	}
	if c.Newest.Before(c.Oldest) {
		bad("Newest: %s is before Oldest, %s", c.Newest, c.Oldest)
	}
	if c.Newest.UnixMilli() >= lastYear {
		bad("Newest: %s is not before 2200", c.Newest)
	}
	if c.PageCap < 1 || c.ListDefault < 1 || c.FeedDefault < 1 {
		bad("PageCap, ListDefault, FeedDefault: %d, %d, %d are not all positive", c.PageCap, c.ListDefault, c.FeedDefault)
	}
	faults = append(faults, c.Live.check(), c.checkShares(), c.checkTies(), c.checkWords(), c.checkLimits())
	return errors.Join(faults...)
}

// checkShares looks at everything that is a share of something.
func (c *Config) checkShares() error {
	var faults []error
	shares := map[string]float64{"SkewShare": c.SkewShare, "WrongShare": c.WrongShare, "MalformedShare": c.MalformedShare,
		"Live.LateShare": c.Live.LateShare}
	for name, share := range c.Faults.shares() {
		shares["Faults."+name] = share
	}
	for name, share := range shares {
		if !(share >= 0 && share <= 1) {
			faults = append(faults, fmt.Errorf("%s: %v is not 0 to 1", name, share))
		}
	}
	return errors.Join(faults...)
}

func (c *Config) checkTies() error {
	var faults []error
	bad := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	total := int64(0)
	for _, tie := range c.Ties {
		if tie.Events < 1 || tie.At.Before(c.Oldest) || tie.At.After(c.Newest) {
			bad("Ties: %d events at %s are none, or outside the span", tie.Events, tie.At)
		}
		total += tie.Events
	}
	if len(c.Ties) > 0 && total > c.Events-2 {
		bad("Ties: %d events, and only %d beside the oldest and the newest", total, c.Events-2)
	}
	return errors.Join(faults...)
}

func (c *Config) checkWords() error {
	return errors.Join(
		oneOf("Algorithm", c.Algorithm, SlidingAll, SlidingAccepted, FixedWindow),
		oneOf("RetryAfter", c.RetryAfter, RetryBoth, RetryHeader, RetryBody, RetryDate, RetryNone),
		oneOf("Window", c.Window, WindowFeed, WindowBoth, WindowNone),
		oneOf("CursorFault", c.CursorFault, BadCursor400, BadCursor502, BadCursorIgnore),
		oneOf("Gate", c.Gate, GateBrowser, GateOrigin, GateCookie, GateShut))
}

func oneOf[W ~string](name string, word W, known ...W) error {
	for _, k := range known {
		if word == k {
			return nil
		}
	}
	return fmt.Errorf("%s: %q is not one of %q", name, word, known)
}

func (c *Config) checkLimits() error {
	var faults []error
	for name, limit := range map[string]Limit{
		"List": c.List, "Feed": c.Feed, "Sessions": c.Sessions, "Metrics": c.Metrics, "Bulk": c.Bulk,
	} {
		if limit.Requests < 0 || limit.Requests > 0 && limit.Window <= 0 {
			faults = append(faults, fmt.Errorf("%s: %d requests in %s are no limit", name, limit.Requests, limit.Window))
		}
	}
	return errors.Join(faults...)
}

// threshold turns a share into the bound below which a uniformly drawn 64-bit number falls with that share.
func threshold(share float64) uint64 {
	if share >= 1 {
		return math.MaxUint64
	}
	return uint64(share * (1 << 63) * 2)
}
