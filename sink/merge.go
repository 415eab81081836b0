package sink

import (
	"encoding/binary"

	"sluice/shard"
)

// merge yields the events of loads in the order of their ids, all of them as if they were one load.
type merge struct {
	heads []head // of the loads that are not yet at their ends, in the order of their next rows
	total int    // rows of all loads
	given int    // how many were yielded
}

// head is a load and how far it was read. The next row's id stands beside it as two numbers, which compare faster than bytes.
type head struct {
	*load
	at        int
	high, low uint64
}

func newMerge(loads ...*load) *merge {
	m := &merge{heads: make([]head, 0, len(loads))}
	for _, l := range loads {
		if len(l.order) > 0 {
			m.total += len(l.order)
			m.heads = append(m.heads, head{load: l})
			m.heads[len(m.heads)-1].look()
		}
	}
	for i := len(m.heads) - 2; i >= 0; i-- {
		place(m.heads[i:])
	}
	return m
}

// event returns the next one; nil after the last.
func (m *merge) event() *shard.Event {
	if len(m.heads) == 0 {
		return nil
	}
	first := &m.heads[0]
	e := first.order[first.at]
	m.given++
	first.at++
	switch {
	case first.at == len(first.order):
		m.heads = m.heads[1:]
	case len(m.heads) > 1:
		first.look()
		place(m.heads)
	}
	return e
}

// look notes the id of the next row.
func (h *head) look() {
	id := &h.order[h.at].ID
	h.high, h.low = binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
}

func (h *head) after(other *head) bool {
	return h.high > other.high || h.high == other.high && h.low > other.low
}

// place moves the first head behind those that come before it. The others are in order already, and few.
func place(heads []head) {
	for i := 1; i < len(heads) && heads[i-1].after(&heads[i]); i++ {
		heads[i-1], heads[i] = heads[i], heads[i-1]
	}
}
