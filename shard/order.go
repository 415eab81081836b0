package shard

import "sort"

// order is what a page shows of the API's order.
type order struct {
	events []Event
	chain  []int // indices of the events that are in order; nil where all are
	all    bool
	last   Key // where reading may safely go on later; zero if no event is in order
}

// orderOf finds the longest run of events that the API's order allows, given that all of them must come after a record
// already read; after is zero where nothing was read. What is not in it was served out of order: a record with a wrong
// timestamp stands out, instead of making all its neighbours stand out.
//
// Equal keys are one record served twice and keep the order. A page is nearly always in order as a whole, which one pass
// shows.
func orderOf(events []Event, after Key) order {
	o := order{events: events, all: ordered(events, after)}
	if !o.all {
		o.chain = longestChain(events, after)
	}
	o.last = o.resumePoint()
	return o
}

// OldestInOrder returns the timestamp of the last event that the API's order shows to be right.
func OldestInOrder(events []Event) Instant {
	o := orderOf(events, Key{})
	return o.last.At
}

// trusted tells whether the page is in order for the most part. One that is not moves nothing and proves nothing.
func (o *order) trusted() bool { return o.all || 2*len(o.chain) > len(o.events) }

// count returns how many events are in order.
func (o *order) count() int {
	if o.all {
		return len(o.events)
	}
	return len(o.chain)
}

// at returns the n-th event that is in order.
func (o *order) at(n int) *Event {
	if o.all {
		return &o.events[n]
	}
	return &o.events[o.chain[n]]
}

// resumePoint returns the key of the last record in order from which reading may safely go on later. A record with a wrong,
// far too old timestamp at the very end looks as if it were in order; resuming there would jump over what lies between. It
// shows by its distance: a last step wider than all the steps before it together. Then the record before it is the point.
func (o *order) resumePoint() Key {
	n := o.count()
	switch {
	case n == 0:
		return Key{}
	case n < 3:
		return o.at(n - 1).Key()
	}
	first, before, last := o.at(0), o.at(n-2), o.at(n-1)
	if before.At.Sub(last.At) > first.At.Sub(before.At)+widestStep {
		return before.Key()
	}
	return last.Key()
}

// strays counts those of the first n events that are stored although the order or the window does not allow them.
func (o *order) strays(n int, w Window) int64 {
	kept, outside := 0, 0
	for i := range o.count() {
		if !o.all && o.chain[i] >= n || o.all && i >= n {
			break
		}
		kept++
		if !w.Contains(o.at(i).At) {
			outside++
		}
	}
	return int64(n - kept + outside)
}

func ordered(events []Event, after Key) bool {
	for i := range events {
		key := events[i].Key()
		if !after.IsZero() && key.Before(after) {
			return false
		}
		after = key
	}
	return true
}

// longestChain is patience sorting: ends[n] is the index of the newest-possible last event of a chain of n+1 events.
func longestChain(events []Event, after Key) []int {
	var ends []int
	previous := make([]int, len(events))
	for i := range events {
		key := events[i].Key()
		if !after.IsZero() && key.Before(after) {
			continue
		}
		n := sort.Search(len(ends), func(n int) bool { return key.Before(events[ends[n]].Key()) })
		previous[i] = -1
		if n > 0 {
			previous[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	return unwind(ends, previous)
}

func unwind(ends, previous []int) []int {
	chain := make([]int, len(ends))
	if len(ends) == 0 {
		return chain
	}
	for n, i := len(ends)-1, ends[len(ends)-1]; n >= 0; n, i = n-1, previous[i] {
		chain[n] = i
	}
	return chain
}
