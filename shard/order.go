package shard

import "sort"

// tailKeys is how many of the last keys in order a walk remembers: enough for the records after a page to outvote one or two
// wrong timestamps at its end.
const tailKeys = 8

// order says which events of a page follow the API's order.
type order struct {
	events []Event
	chain  []int // indices of the events that are in order, unless all are
	all    bool
	before []Key // the keys read before the page that are in order with it
	torn   bool  // few of them are: the page does not follow what was read
}

// orderOf finds the longest subsequence of events that follows the API's order, given the last keys that were read before
// them. All other events were served out of order: this singles out a record with a wrong timestamp, instead of all its
// neighbours, at the end of the page before as well.
//
// Equal keys are one record served twice, and in order. Nearly always the whole page is in order, which takes one pass to see.
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

// OldestInOrder returns the timestamp of the last event of a page that its order and its distance from the event before it
// show to be right; zero if there is none.
func OldestInOrder(events []Event) Instant {
	o := orderOf(events, nil)
	return o.resumePoint().At
}

// trusted reports whether most of the page is in order. Otherwise it moves no resume point and proves no end.
func (o *order) trusted() bool { return o.all || 2*len(o.chain) > len(o.events) }

// count returns how many events of the page are in order.
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

// back returns the n-th key from the end of all keys in order, those read before the page included; false if there are fewer.
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

// resumePoint returns the key of the last record in order after which reading may safely continue later; zero if no event is
// in order. A record with a wrong, far too old timestamp at the very end looks as if it were in order, but resuming there would
// skip everything in between. Its distance gives it away: a last step wider than all the steps before it together. Then the
// record before it is the resume point.
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

// strays returns how many of the first n events are out of order or outside of the window. They are stored all the same.
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

// ordered reports whether all events follow the API's order, after the last key of the tail.
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

// longestChain returns the indices of the longest subsequence of keys that is in order. It is patience sorting: ends[n] is the
// index of the newest possible last key of a chain of n+1 keys.
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
	for n := len(ends) - 1; n > 0; n-- {
		ends[n-1] = previous[ends[n]]
	}
	return ends
}
