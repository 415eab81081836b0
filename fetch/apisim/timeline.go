package apisim

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// A timeline gives every position in the order of time, from 0 for the oldest event on, its millisecond. It is a handful of
// segments, so that the time of a position and the position of a time need no list of events.
type timeline struct {
	segments []segment
	jitter   uint64
	blocks   *[keptBlocks]atomic.Pointer[block] // those that were needed last
}

// A segment is a stretch of time in which events arrive independently of each other, at a rate that is steady, rises or falls.
type segment struct {
	first, events int64   // positions
	start, end    int64   // epoch milliseconds, half-open; end = start + 1 for a tie
	from, to      float64 // the rate at the start and at the end, in some unit; both 0 in a tie
}

// A block is a number of consecutive events of a segment: their times are drawn together, and sorted. So a time is found by drawing
// a few hundred, whatever the size of the data, and gaps and ties are those of independent arrivals.
type block struct {
	first int64 // position
	times []int64
}

const (
	perBlock   = 512
	keptBlocks = 256
)

const (
	// skewed is the length of the stretch that Config.SkewShare crowds.
	skewed = time.Hour
	// ramp is how long the rate rises at the start of the recorded data, and falls at their end: sessions last up to an hour, and
	// none began before or goes on after the data (api.md, section 6: 57 events in the last ten minutes, 694 in any other ten).
	ramp = time.Hour
)

func newTimeline(c *Config) timeline {
	t := timeline{jitter: keyOf(c.Seed, "jitter"), blocks: new([keptBlocks]atomic.Pointer[block])}
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
	if c.SkewShare == 0 && newest-oldest > 4*ramp.Milliseconds() {
		stretches = rampUpAndDown(stretches[0])
	}
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
		return []segment{steady(start, end, events)}
	}
	inside := int64(math.Round(share * float64(events)))
	outside := events - inside
	before := outside
	if rest := end - start - (to - from); rest > 0 {
		before = int64(math.Round(float64(outside) * float64(from-start) / float64(rest)))
	} else {
		inside, before, outside = events, 0, 0
	}
	return []segment{steady(start, from, before), steady(from, to, inside), steady(to, end, outside-before)}
}

func steady(start, end, events int64) segment {
	return segment{start: start, end: end, events: events, from: 1, to: 1}
}

// rampUpAndDown makes the rate of a steady stretch rise at its start and fall at its end.
func rampUpAndDown(s segment) []segment {
	from, to, length := s.start+ramp.Milliseconds(), s.end-ramp.Milliseconds(), float64(s.end-s.start)
	each := int64(math.Round(float64(s.events) / 2 * float64(ramp.Milliseconds()) / (length - float64(ramp.Milliseconds()))))
	return []segment{
		{start: s.start, end: from, events: each, to: 1},
		steady(from, to, s.events-2*each),
		{start: to, end: s.end, events: each, from: 1},
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
	x := float64(at-s.start) / float64(s.end-s.start)
	older, rate := int64(math.Round(float64(s.events)*s.share(x))), s.from+(s.to-s.from)*x
	left := segment{start: s.start, end: at, events: older, from: s.from, to: rate}
	right := segment{start: at, end: s.end, events: s.events - older, from: rate, to: s.to}
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
		s.first = first
		segments = append(segments, s)
		first += s.events
	}
	return segments
}

// tie reports whether all events of a segment are in one millisecond.
func (s *segment) tie() bool { return s.end == s.start+1 }

// share returns the share of the events that lie in the first part x of the stretch; both are from 0 to 1.
func (s *segment) share(x float64) float64 {
	if s.from == s.to {
		return x
	}
	return (2*s.from*x + (s.to-s.from)*x*x) / (s.from + s.to)
}

// place is the reverse of share.
func (s *segment) place(u float64) float64 {
	if s.from == s.to {
		return u
	}
	rise := s.to - s.from
	return (math.Sqrt(s.from*s.from+rise*(s.from+s.to)*u) - s.from) / rise
}

// grow adds the events that follow all others, at the given rate a second, up to the last year.
func (t *timeline) grow(after time.Time, rate float64) {
	live := steady(after.UnixMilli()+1, lastYear, 0)
	live.first, live.events = t.events(), int64(float64(live.end-live.start)*rate/1000)
	t.segments = append(t.segments, live)
}

// at returns the millisecond of a position.
func (t *timeline) at(position int64) int64 {
	s := &t.segments[0]
	for i := 1; i < len(t.segments) && t.segments[i].first <= position; i++ {
		s = &t.segments[i]
	}
	if s.tie() {
		return s.start
	}
	b := t.block(s, (position-s.first)/perBlock)
	return b.times[position-b.first]
}

// block returns the n-th block of a segment.
func (t *timeline) block(s *segment, n int64) *block {
	first := s.first + n*perBlock
	kept := &t.blocks[(first/perBlock)%keptBlocks]
	if b := kept.Load(); b != nil && b.first == first {
		return b
	}
	b := &block{first: first, times: make([]int64, min(perBlock, s.first+s.events-first))}
	for i := range b.times {
		b.times[i] = int64(draw(t.jitter, first+int64(i)) >> 24)
	}
	slices.Sort(b.times)
	const places = 1 << 40 // of what was drawn
	length, each := float64(s.end-s.start), float64(len(b.times))/places
	for i, r := range b.times {
		u := (float64(n*perBlock) + float64(r)*each) / float64(s.events)
		b.times[i] = min(s.start+int64(s.place(u)*length), s.end-1)
	}
	kept.Store(b)
	return b
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
	for i := range t.segments {
		if s := &t.segments[i]; ms < s.end {
			return s.first + t.inside(s, ms)
		}
	}
	return t.events()
}

// inside returns how many events of a segment are older than the millisecond, which is not after its end.
func (t *timeline) inside(s *segment, ms int64) int64 {
	if ms <= s.start || s.tie() {
		return 0
	}
	last := (s.events - 1) / perBlock
	n := min(last, int64(s.share(float64(ms-s.start)/float64(s.end-s.start))*float64(s.events))/perBlock)
	for n > 0 && t.block(s, n).times[0] >= ms {
		n--
	}
	for n < last && t.block(s, n+1).times[0] < ms {
		n++
	}
	older, _ := slices.BinarySearch(t.block(s, n).times, ms)
	return n*perBlock + int64(older)
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
