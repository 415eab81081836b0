package shard

import "sort"

// tailKeys is how many of the last keys in order a walk remembers: enough that one or two with wrong timestamps at the end of
// a page are outvoted by the records after them.
const tailKeys = 8

// order is what a page shows of the API's order.
type order struct {
	events []Event
	chain  []int // indices of the events that are in order; nil where all are
	all    bool
	before []Key // of the keys that were to come before the page, those that the page allows
	torn   bool  // the page allows few of them: it does not follow what was read
}

// orderOf finds the longest run of events that the API's order allows, given the last keys that were read before them. What
// is not in it was served out of order: a record with a wrong timestamp stands out, instead of making all its neighbours
// stand out. A wrong one at the end of the page before is seen as such by the same rule.
//
// Equal keys are one record served twice and keep the order. A page is nearly always in order as a whole, which one pass
// shows.
func orderOf(events []Event, tail []Key) order {
	if ordered(events, tail) {
		return order{events: events, all: true, before: tail}
	}
	keys := append(make([]Key, 0, len(tail)+len(events)), tail...)
	for i := range events {
		keys = append(keys, events[i].Key())
	}
	o := order{events: events}
	for _, i := range longestChain(keys) {
		if i < len(tail) {
			o.before = append(o.before, tail[i])
		} else {
			o.chain = append(o.chain, i-len(tail))
		}
	}
	lost := len(tail) - len(o.before)
	o.torn = lost > 2 && lost > len(o.before) || len(o.chain) == 0 && len(events) > 1
	return o
}

// OldestInOrder returns the timestamp of the last event that the API's order shows to be right.
func OldestInOrder(events []Event) Instant {
	o := orderOf(events, nil)
	return o.resumePoint().At
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

// back returns the n-th key from the end of all that is in order, what was read before included; false where there are fewer.
func (o *order) back(n int) (Key, bool) {
	c := o.count()
	switch {
	case n <= c:
		return o.at(c - n).Key(), true
	case n <= c+len(o.before):
		return o.before[len(o.before)-(n-c)], true
	}
	return Key{}, false
}

// tail returns the last keys in order, oldest last.
func (o *order) tail() []Key {
	var keys []Key
	for n := min(tailKeys, o.count()+len(o.before)); n > 0; n-- {
		key, _ := o.back(n)
		keys = append(keys, key)
	}
	return keys
}

// resumePoint returns the key of the last record in order from which reading may safely go on later; zero if no event is in
// order. A record with a wrong, far too old timestamp at the very end looks as if it were in order; resuming there would jump
// over what lies between. It shows by its distance: a last step wider than all the steps before it together. Then the record
// before it is the point.
func (o *order) resumePoint() Key {
	if o.count() == 0 {
		return Key{}
	}
	last, _ := o.back(1)
	before, ok := o.back(2)
	first, _ := o.back(o.count() + len(o.before))
	if ok && before.At.Sub(last.At) > first.At.Sub(before.At)+widestStep {
		return before
	}
	return last
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

func ordered(events []Event, tail []Key) bool {
	if len(events) == 0 {
		return true
	}
	after := events[0].Key()
	if len(tail) > 0 {
		after = tail[len(tail)-1]
	}
	for i := range events {
		key := events[i].Key()
		if key.Before(after) {
			return false
		}
		after = key
	}
	return true
}

// longestChain returns the indices of the longest run of keys, not necessarily neighbours, in which none comes before the one
// in front of it. It is patience sorting: ends[n] is the index of the newest possible last key of a chain of n+1 keys.
func longestChain(keys []Key) []int {
	var ends []int
	previous := make([]int, len(keys))
	for i, key := range keys {
		n := sort.Search(len(ends), func(n int) bool { return key.Before(keys[ends[n]]) })
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
