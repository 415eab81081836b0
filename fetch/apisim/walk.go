package apisim

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"sort"
	"sync"

	"github.com/google/uuid"
)

// ties keeps the large groups of one millisecond in order, once they have been sorted. Their number is that of Config.Ties,
// and of milliseconds that happen to be as crowded.
type ties struct {
	mu     sync.Mutex
	groups map[int64][]int64 // by the position of their first
	kept   int64             // events in all of them
}

const (
	largeGroup = 256     // events in a millisecond, from which on their order is kept
	mostKept   = 8 << 20 // events in all groups that are kept
)

// ordered returns the serials of the group [first, end) by id, ascending.
func (d *Data) ordered(first, end int64) []int64 {
	if end-first < largeGroup {
		return d.sortGroup(first, end)
	}
	d.ties.mu.Lock()
	defer d.ties.mu.Unlock()
	if group, ok := d.ties.groups[first]; ok {
		return group
	}
	if d.ties.groups == nil || d.ties.kept > mostKept {
		d.ties.groups, d.ties.kept = make(map[int64][]int64), 0
	}
	group := d.sortGroup(first, end)
	d.ties.groups[first], d.ties.kept = group, d.ties.kept+end-first
	return group
}

func (d *Data) sortGroup(first, end int64) []int64 {
	group := make([]int64, 0, end-first)
	for serial := first; serial < end; serial++ {
		group = append(group, serial)
	}
	// The scattered serial is the id's first half, without the bits that all ids share.
	slices.SortFunc(group, func(a, b int64) int { return cmp.Compare(d.events.scatter(a), d.events.scatter(b)) })
	return group
}

// after returns the position that an answer after (ts, id) ends before: how many events lie strictly below it in the order.
func (d *Data) after(ts int64, id uuid.UUID) int64 {
	first := d.timeline.before(ts)
	if first == d.timeline.events() || d.timeline.at(first) != ts {
		return first
	}
	_, end := d.timeline.group(first)
	group := d.ordered(first, end)
	return first + int64(sort.Search(len(group), func(i int) bool {
		own := d.events.uuid(group[i])
		return bytes.Compare(own[:], id[:]) >= 0
	}))
}

// A walk gives events from the newest to the oldest.
type walk struct {
	data      *Data
	left      int64   // positions that are not given yet: the next one is left-1
	at, older int64   // the millisecond of the next position, and of the one below it
	group     []int64 // the serials of the next position's millisecond, if there are several
	base      int64   // the position of the group's first
}

// walk starts below a position, which is to say with the event at position below-1.
func (d *Data) walk(below int64) walk {
	w := walk{data: d, left: below}
	if below == 0 {
		return w
	}
	w.at, w.older = d.timeline.at(below-1), w.peek()
	if w.at == w.older || below < d.timeline.events() && d.timeline.at(below) == w.at {
		w.enter()
	}
	return w
}

// peek returns the millisecond of the position below the next one.
func (w *walk) peek() int64 {
	if w.left < 2 {
		return math.MinInt64
	}
	return w.data.timeline.at(w.left - 2)
}

// next returns the serial of the next event and the millisecond that decides its place. There must be one.
func (w *walk) next() (serial, at int64) {
	w.left--
	serial, at = w.left, w.at
	if w.group != nil {
		serial = w.group[w.left-w.base]
	}
	w.at, w.older = w.older, w.peek()
	if w.at != at {
		w.group = nil
		if w.at == w.older && w.left > 0 {
			w.enter()
		}
	}
	return serial, at
}

// enter orders the events of the next position's millisecond.
func (w *walk) enter() {
	first, end := w.data.timeline.group(w.left - 1)
	w.group, w.base = w.data.ordered(first, end), first
}
