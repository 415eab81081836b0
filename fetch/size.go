package fetch

import (
	"cmp"

	"sluice/shard"
)

// Granted returns how many records the API has said that a full page has; zero means that it has not said.
func (c *Client) Granted() int { return int(c.granted.Load()) }

// Grant sets what Granted returns to what an earlier run learned.
func (c *Client) Grant(records int) { c.granted.Store(int64(records)) }

// PageSize returns how many records an ordinary question asks for.
func (c *Client) PageSize() int { return c.limit(0) }

// PageBytes returns how many bytes a full page has, decompressed: as many as the largest of the last ones or, before the first one, as
// the records that the API grants usually have. 0 means that nothing is known.
func (c *Client) PageBytes() int64 {
	const perRecord = 360
	return cmp.Or(c.largest.Load(), perRecord*c.granted.Load())
}

// sized remembers the size of a page's body. One that is smaller than those before it may be the last of its window: it counts little.
func (c *Client) sized(bytes int64) {
	last := c.largest.Load()
	c.largest.Store(max(bytes, last-last/16))
}

// expected returns the size of the buffer in which a page of unknown length should find room.
func (c *Client) expected() int64 {
	const smallest = 64 << 10
	n := c.largest.Load()
	return max(n+n/16, smallest)
}

// limit returns how many records to ask for. A request that must differ from an earlier one asks for fewer than the API gives now.
func (c *Client) limit(vary int) int {
	size := c.config.PageSize
	if granted := c.Granted(); granted > 0 {
		size = min(size, granted)
	}
	if given := int(c.given.Load()); vary > 0 && given > 0 {
		size = min(size, given)
	}
	return max(1, size-vary)
}

// records returns how many records a question asks for.
func (c *Client) records(q *Question) int {
	if n := c.limit(q.Vary); q.Max == 0 || n < q.Max {
		return n
	}
	return q.Max
}

// bodyLimit returns how many bytes a body may have after decompression.
func (c *Client) bodyLimit() int64 {
	const smallest, perRecord = 16 << 20, 4 << 10
	return min(max(smallest, perRecord*int64(c.limit(0))), max(smallest, c.config.MaxBody))
}

// halve lets a question whose page was too large ask for half as many records; false if it asked for one already.
func (c *Client) halve(q *Question) bool {
	asked := c.records(q)
	q.Max = asked / 2
	return asked > 1
}

// fitting returns how many records the question after q may ask for, if q had been halved: up to twice as many as before, as far
// as records of the last page's size leave some room in a body.
func (c *Client) fitting(q *Question, pages []shard.Page) int {
	if q.Max == 0 {
		return 0
	}
	received := 0
	for i := range pages {
		received += pages[i].Received
	}
	const filled = 0.8
	room := filled * float64(c.bodyLimit()) / float64(max(1, pages[0].Bytes))
	return max(1, min(2*q.Max, int(float64(received)*room)))
}
