package apisim

import (
	"context"
	"sync"
	"time"
)

// Latency is how long answers take. The real API takes about three seconds for a page whatever its size: what dominates is
// believed to be a count of all events for meta.total (api.md, section 7). A rejected request is answered at once.
type Latency struct {
	Page     time.Duration // of a page of events, at least
	Jitter   time.Duration // up to which is added to it, evenly drawn
	PerEvent time.Duration // added for every event of a page
	Hit      time.Duration // of a page from the cache
	Token    time.Duration // of stream access
	Other    time.Duration // of everything else
	Ceiling  float64       // events a second that all pages together are served at; 0 means no ceiling
	Scale    float64       // multiplies all durations, and divides Ceiling; default 1
}

func (l *Latency) scaled(d time.Duration) time.Duration { return time.Duration(float64(d) * l.Scale) }

// page returns how long a page takes. r draws the jitter.
func (l *Latency) page(events int, r uint64) time.Duration {
	jitter := time.Duration(float64(l.Jitter) * float64(r>>11) / (1 << 53))
	return l.scaled(l.Page + jitter + time.Duration(events)*l.PerEvent)
}

// ceiling is a queue for the one resource that all pages share: a page leaves it when the pages before it have had their time.
type ceiling struct {
	mu   sync.Mutex
	free time.Time
}

// wait returns how long the page has to wait until events more could have been served.
func (c *ceiling) wait(events int, perSecond float64, now time.Time) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.free.Before(now) {
		c.free = now
	}
	c.free = c.free.Add(time.Duration(float64(events) / perSecond * float64(time.Second)))
	return c.free.Sub(now)
}

// sleep waits, unless the client goes away first.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
