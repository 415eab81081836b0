package fetch

import (
	"context"
	"fmt"
	"time"

	"sluice/shard"
)

// Latest is what the newest page tells of the source.
type Latest struct {
	Newest shard.Instant // event; 0: the page holds none that can be read
	Oldest shard.Instant // of the page, as far as its order shows
	Events int
	Total  int64 // events there are, as the API says; -1: it does not
}

// wordings is how many ways there are to ask for the newest page. Each has its half second, by the clock, so that an API that
// repeats its answers for 30 s has forgotten the first one when they are through, whichever process it was that asked.
const (
	wordings  = 61
	wordingMS = 500
)

// firstWording keeps them apart from the reads that confirm an end, which ask for a record or some less than there are.
const firstWording = 16

// fresh is how often the newest page is asked for at most, to have one that comes from no cache.
const fresh = 3

// Latest asks for the newest page, each time in other words, because the API repeats its answers for a while: an old page would
// hide what is new. The page is kept for the walk that begins there.
func (c *Client) Latest(ctx context.Context) (Latest, error) {
	for try := 1; ; try++ {
		q := question{start: shard.FromTop, vary: firstWording + int(c.nextWording()%wordings)}
		pages, err := c.fetch(ctx, &q)
		if err != nil {
			return Latest{}, fmt.Errorf("ask for the newest page: %w", err)
		}
		if pages[0].Cached && try < fresh {
			continue
		}
		c.newest.hold(pages)
		return c.latest(pages), nil
	}
}

// nextWording is that of the moment, or the one after the last where several are needed in a moment. One goroutine at a
// time asks.
func (c *Client) nextWording() int64 {
	next := max(time.Now().UnixMilli()/wordingMS, c.wording.Load()+1)
	c.wording.Store(next)
	return next
}

func (c *Client) latest(pages []shard.Page) Latest {
	l := Latest{Total: c.total.Load()}
	for i := range pages {
		if events := pages[i].Events; len(events) > 0 {
			if l.Events == 0 {
				l.Newest = events[0].At
			}
			l.Oldest, l.Events = shard.OldestInOrder(events), l.Events+len(events)
		}
	}
	return l
}
