package shard

import (
	"sort"
	"time"
)

// tailKeys is how many of the last keys in order a walk remembers: enough for the records after a page to outvote one or two
// wrong timestamps at its end.
const tailKeys = 8

// order says which events of a page follow the API's order.
type order struct {
	events []Event
	chain  []int // indices of the events that are in order, unless all are
	all    bool
	solid  int   // of the events in order, those before the first jump that too little confirms
	before []Key // the keys read before the page that are in order with it
	torn   bool  // few of them are: the page does not follow what was read
}

// orderOf finds the longest subsequence of events that follows the API's order, given the last keys that were read before
// them. All other events were served out of order: this singles out a record with a wrong timestamp, instead of all its
// neighbours, at the end of the page before as well.
//
// Records of one timestamp are in order, whatever their ids, and so is a record that is served twice. Nearly always the whole page is in order, which takes one pass to see.
func orderOf(events []Event, tail []Key) order {
	if ordered(events, tail) {
		return order{events: events, all: true, solid: len(events), before: tail}
	}
	times := make([]Instant, 0, len(tail)+len(events))
	for _, key := range tail {
		times = append(times, key.At)
	}
	for i := range events {
		times = append(times, events[i].At)
	}
	o := order{events: events}
	for _, i := range longestChain(times) {
		if i < len(tail) {
			o.before = append(o.before, tail[i])
		} else {
			o.chain = append(o.chain, i-len(tail))
		}
	}
	o.solid = len(o.chain)
	lost := len(tail) - len(o.before)
	o.torn = lost > 2 && lost > len(o.before) || len(o.chain) == 0 && len(events) > 1
	return o
}

// skip takes the first k events that are in order out of the order.
func (o *order) skip(k int) {
	if k == 0 {
		return
	}
	if o.all {
		o.chain, o.all = make([]int, 0, len(o.events)), false
		for i := range o.events {
			o.chain = append(o.chain, i)
		}
	}
	o.chain = o.chain[k:]
	o.solid = len(o.chain)
}

// newer returns how many events at the front of the order are newer than an instant.
func (o *order) newer(than Instant) (n int) {
	for n < o.count() && o.at(n).At > than {
		n++
	}
	return n
}

// index returns where among the events the n-th that is in order stands; len(events) if there are not so many.
func (o *order) index(n int) int {
	switch {
	case n >= o.count():
		return len(o.events)
	case o.all:
		return n
	}
	return o.chain[n]
}

// OldestInOrder returns the timestamp of the last event of a page that is in order, without those after a jump that is much wider
// than the steps before it and that fewer than half of the events confirm; zero if there is none.
func OldestInOrder(events []Event) Instant {
	o := orderOf(events, nil)
	o.solid = o.jumps(Key{}, 0, o.count()/2+1).unconfirmed
	last, _ := o.back(1)
	return last.At
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

// back returns the n-th key from the end of all solid keys, those read before the page included; false if there are fewer.
func (o *order) back(n int) (Key, bool) {
	switch {
	case n <= o.solid:
		return o.at(o.solid - n).Key(), true
	case n <= o.solid+len(o.before):
		return o.before[len(o.before)-(n-o.solid)], true
	}
	return Key{}, false
}

// tail returns the last solid keys, oldest last.
func (o *order) tail() []Key {
	var keys []Key
	for n := min(tailKeys, o.solid+len(o.before)); n > 0; n-- {
		key, _ := o.back(n)
		keys = append(keys, key)
	}
	return keys
}

// widestStep is allowed from one record to the next whatever the density: sparse hours are no wrong clocks.
const widestStep = time.Minute

// jumps are the implausible steps of a page.
type jumps struct {
	first       int     // the first event after one; count() if there is none
	unconfirmed int     // the first event after one that too few events follow, itself included
	last        int     // the first event after the last one
	widest      Instant // of them
}

// jumps looks for steps, from one event in order to the next, that are wider than plausible, than all the steps before them in the
// page together, and than those after them: if these are many, than all but the widest together. Events of one instant count as one.
// A sender with a wrong clock looks like that, and so does a quiet night. The first step is from the key before the page; without
// one, from after, if that is not zero. Fewer than enough events do not confirm a jump.
func (o *order) jumps(after Key, plausible Instant, enough int) jumps {
	n := o.count()
	found := jumps{n, n, n, 0}
	if n == 0 {
		return found
	}
	first, before := after.At, after.At
	switch {
	case len(o.before) > 0:
		first, before = o.before[0].At, o.before[len(o.before)-1].At
	case after.IsZero():
		first, before = o.at(0).At, o.at(0).At
	}
	minute := Instant(widestStep.Microseconds())
	oldest := o.at(n - 1).At
	if before-oldest <= plausible+minute {
		return found
	}
	instants, widest, second := 0, Instant(0), Instant(0) // after the event; the widest steps of all
	for i := 1; i < n; i++ {
		step := o.at(i-1).At - o.at(i).At
		if step > 0 {
			instants++
		}
		widest, second = max(widest, step), max(second, min(widest, step))
	}
	for i := range n {
		at := o.at(i).At
		if i > 0 && at != before {
			instants--
		}
		allowed := max(plausible, first-before)
		if instants >= proofRecords {
			allowed = max(allowed, 8*(at-oldest)/Instant(instants))
		}
		if instants >= sceptical {
			other := widest
			if i > 0 && before-at == widest {
				other = second
			}
			allowed = max(allowed, at-oldest-other)
		}
		if before-at > allowed+minute {
			found.first = min(found.first, i)
			found.last, found.widest = i, max(found.widest, before-at)
			if n-i < enough {
				found.unconfirmed = min(found.unconfirmed, i)
			}
		}
		before = at
	}
	return found
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
	after := events[0].At
	if len(tail) > 0 {
		after = tail[len(tail)-1].At
	}
	for i := range events {
		if events[i].At > after {
			return false
		}
		after = events[i].At
	}
	return true
}

// longestChain returns the indices of the longest subsequence of times that is in order. It is patience sorting: ends[n] is the
// index of the newest possible last time of a chain of n+1 times.
func longestChain(times []Instant) []int {
	var ends []int
	previous := make([]int, len(times))
	for i, at := range times {
		n := sort.Search(len(ends), func(n int) bool { return at > times[ends[n]] })
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
