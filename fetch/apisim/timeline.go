package apisim

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A timeline gives every position in the order of time, from 0 for the oldest event on, its millisecond. It is a handful of
// segments, so that the time of a position and the position of a time need no list of events.
type timeline struct {
	segments []segment
	jitter   uint64
}

// A segment spreads its events evenly over a stretch of time: each gets a slice of its own, in which it falls at random.
// So times rise with positions, and arrivals still look random.
type segment struct {
	first, events int64 // positions
	start, end    int64 // epoch milliseconds, half-open; end = start + 1 for a tie
	step          float64
}

// skewed is the length of the stretch that Config.SkewShare crowds.
const skewed = time.Hour

func newTimeline(c *Config) timeline {
	t := timeline{jitter: keyOf(c.Seed, "jitter")}
	oldest, newest := c.Oldest.UnixMilli(), c.Newest.UnixMilli()
	points := slices.Clone(c.Ties)
	if c.Events > 1 {
		points = append(points, Tie{1, c.Oldest})
	}
	if c.Events > 0 {
		points = append(points, Tie{1, c.Newest})
	}
	spread := max(c.Events, 0)
	for _, p := range points {
		spread -= p.Events
	}
	stretches := crowd(oldest, newest+1, spread, c.SkewShare, c.SkewStart.UnixMilli())
	slices.SortStableFunc(points, func(a, b Tie) int { return a.At.Compare(b.At) })
	for _, p := range points {
		stretches = split(stretches, p.At.UnixMilli(), p.Events)
	}
	t.segments = number(stretches)
	return t
}

// crowd lays events over [start, end), of which a share falls into the hour from skew on.
func crowd(start, end, events int64, share float64, skew int64) []segment {
	from, to := max(start, min(skew, end)), max(start, min(skew+skewed.Milliseconds(), end))
	if share == 0 || from == to {
		return []segment{{start: start, end: end, events: events}}
	}
	inside := int64(math.Round(share * float64(events)))
	outside := events - inside
	before := outside
	if rest := end - start - (to - from); rest > 0 {
		before = int64(math.Round(float64(outside) * float64(from-start) / float64(rest)))
	} else {
		inside, before, outside = events, 0, 0
	}
	return []segment{
		{start: start, end: from, events: before},
		{start: from, end: to, events: inside},
		{start: to, end: end, events: outside - before},
	}
}

// split cuts the stretch that holds a millisecond there, and puts a tie between the halves.
func split(stretches []segment, at, events int64) []segment {
	tie := segment{start: at, end: at + 1, events: events}
	i := slices.IndexFunc(stretches, func(s segment) bool { return s.start <= at && at < s.end })
	s := stretches[i]
	if s.end == s.start+1 {
		return slices.Insert(stretches, i, tie)
	}
	older := int64(math.Round(float64(s.events) * float64(at-s.start) / float64(s.end-s.start)))
	left := segment{start: s.start, end: at, events: older}
	right := segment{start: at, end: s.end, events: s.events - older}
	return slices.Replace(stretches, i, i+1, left, tie, right)
}

// number gives positions to the stretches that have events.
func number(stretches []segment) []segment {
	var segments []segment
	first := int64(0)
	for _, s := range stretches {
		if s.events == 0 {
			continue
		}
		s.first, s.step = first, float64(s.end-s.start)/float64(s.events)
		segments = append(segments, s)
		first += s.events
	}
	return segments
}

// at returns the millisecond of a position.
func (t *timeline) at(position int64) int64 {
	s := &t.segments[0]
	for i := 1; i < len(t.segments) && t.segments[i].first <= position; i++ {
		s = &t.segments[i]
	}
	if s.end == s.start+1 {
		return s.start
	}
	// A place inside the slice, in 1/2^20: a float64 holds it beside any position exactly.
	inside := float64(draw(t.jitter, position)>>44) / (1 << 20)
	return min(s.start+int64((float64(position-s.first)+inside)*s.step), s.end-1)
}

// events returns how many positions there are.
func (t *timeline) events() int64 {
	if len(t.segments) == 0 {
		return 0
	}
	last := t.segments[len(t.segments)-1]
	return last.first + last.events
}

// before returns how many events are older than the millisecond: the position of the first that is not.
func (t *timeline) before(ms int64) int64 {
	return int64(sort.Search(int(t.events()), func(p int) bool { return t.at(int64(p)) >= ms }))
}

// group returns the positions [first, end) that share the millisecond of a position.
func (t *timeline) group(position int64) (first, end int64) {
	at := t.at(position)
	first, end = position, position+1
	for first > 0 && t.at(first-1) == at {
		first--
	}
	for end < t.events() && t.at(end) == at {
		end++
	}
	return first, end
}

// ties keeps the large groups of one millisecond in order, once they have been sorted. Their number is that of Config.Ties,
// and of milliseconds that happen to be as crowded.
type ties struct {
	mu     sync.Mutex
	groups map[int64][]int64 // by the position of their first
	kept   int64             // events in all of them
}

const (
	largeGroup = 256     // events in a millisecond, from which on their order is kept
	maxKept    = 8 << 20 // events in all groups that are kept
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
	if d.ties.groups == nil || d.ties.kept > maxKept {
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
