package fetch

import "sluice/shard"

// records returns how many records a question asks for.
func (c *Client) records(q *question) int {
	if n := c.limit(q.vary); q.most == 0 || n < q.most {
		return n
	}
	return q.most
}

// halve lets a question that brought too large a page ask for half as many records; false where it asked for one already.
func (c *Client) halve(q *question) bool {
	asked := c.records(q)
	q.most = asked / 2
	return asked > 1
}

// fitting returns how many records the question after q may ask for at most, where q had been halved: twice as many as before,
// if so many of the last page's size go well into a body.
func (c *Client) fitting(q *question, pages []shard.Page) int {
	if q.most == 0 {
		return 0
	}
	received := 0
	for i := range pages {
		received += pages[i].Received
	}
	const well = 0.8
	room := well * float64(c.bodyLimit()) / float64(max(1, pages[0].Bytes))
	return max(1, min(2*q.most, int(float64(received)*room)))
}
