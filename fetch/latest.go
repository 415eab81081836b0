package fetch

import (
	"context"
	"fmt"

	"sluice/shard"
)

// Latest is what the newest page tells of the source.
type Latest struct {
	Newest shard.Instant // event; 0: the page holds none that can be read
	Oldest shard.Instant // of the page, as far as its order shows
	Events int
	Total  int64 // events there are, as the API says; -1: it does not
}

// wordings is how many ways there are to ask for the newest page. An API that repeats its answers for 30 s has forgotten the
// first one when they are through, if one is asked for every half second.
const wordings = 61

// firstWording keeps them apart from the reads that confirm an end, which ask for a record or some less than there are.
const firstWording = 16

// fresh is how often the newest page is asked for at most, to have one that comes from no cache.
const fresh = 3

// Latest asks for the newest page, each time in other words, because the API repeats its answers for a while: an old page would
// hide what is new. The page is kept for the walk that begins there.
func (c *Client) Latest(ctx context.Context) (Latest, error) {
	for try := 1; ; try++ {
		q := question{start: shard.FromTop, vary: firstWording + int(c.wording.Add(1))%wordings}
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
