package shard

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// world is a history of events, and the windows that tile it. It is drawn by rapid, which makes it small when a run fails.
type world struct {
	Records []record
	Windows []Window // oldest first
}

// epoch is where the drawn histories end.
var epoch = InstantOf(time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC))

// gaps are the steps from one record to the next older one. Ties are frequent.
var gaps = []time.Duration{
	0, 0, 0, time.Microsecond, 300 * time.Microsecond, time.Millisecond, time.Millisecond, 40 * time.Millisecond, time.Second,
	time.Second, 17 * time.Second, time.Minute, 10 * time.Minute, 2 * time.Hour,
}

var skews = []time.Duration{-20 * time.Second, 20 * time.Second, -time.Hour, time.Hour, -5 * time.Hour, 5 * time.Hour,
	-48 * time.Hour, 48 * time.Hour}

// percent is 1 to 100. From a list rapid draws evenly; from a range it prefers the ends.
var percent = upTo(100)

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

// worldOptions bound a world.
type worldOptions struct {
	Max                 int // records
	Bad, Skewed, Rivals int // of a hundred
	Finite              bool
}

func drawWorld(t *rapid.T, o worldOptions) world {
	at := epoch
	least := rapid.SampledFrom([]int{0, 0, 1, 5, o.Max / 10, o.Max / 4, o.Max / 2, o.Max}).Draw(t, "least")
	records := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) record {
		r := record{Key: Key{At: Instant(rapid.SampledFrom(gaps).Draw(t, "gap").Microseconds())}}
		r.Bad = rapid.SampledFrom(percent).Draw(t, "bad") > 100-o.Bad
		if rapid.SampledFrom(percent).Draw(t, "skewed") > 100-o.Skewed {
			r.Shown = Instant(rapid.SampledFrom(skews).Draw(t, "skew").Microseconds())
		}
		return r
	}), least, o.Max).Draw(t, "records")
	for i := range records {
		r := &records[i]
		at -= r.At
		r.Key = Key{At: at, ID: idOf(i)}
		if slices.ContainsFunc(records[max(0, i-7):i], func(p record) bool { return p.Shown != p.At }) {
			r.Shown = 0 // wrong clocks are rare: one in eight records at most
		}
		r.Shown += at
	}
	for i := range records {
		if len(records) > 1 && rapid.SampledFrom(percent).Draw(t, "rival") > 100-o.Rivals {
			records[i].Rival = records[rapid.IntRange(0, len(records)-1).Draw(t, "of")].ID
		}
	}
	w := world{Records: sorted(records)}
	w.Windows = drawWindows(t, w.Records, o)
	return w
}

// drawWindows cuts the history into one to six windows, with edges on records, beside them, and anywhere.
func drawWindows(t *rapid.T, records []record, o worldOptions) []Window {
	var edges []Instant
	for range rapid.IntRange(0, 5).Draw(t, "edges") {
		edge := epoch.Add(-rapid.SampledFrom(gaps).Draw(t, "edge gap") * 3)
		if len(records) > 0 {
			r := records[rapid.IntRange(0, len(records)-1).Draw(t, "edge record")]
			edge = cmp.Or(r.At, r.Shown) + Instant(rapid.SampledFrom([]int{0, 0, 1, -1, 1000, 977}).Draw(t, "beside"))
		}
		edges = append(edges, edge)
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	if !o.Finite || len(edges) < 2 {
		edges = append(append([]Instant{Past}, edges...), Future)
	}
	var windows []Window
	for i := 1; i < len(edges); i++ {
		windows = append(windows, Window{edges[i-1], edges[i]})
	}
	return windows
}

// span is what the windows tile.
func (w *world) span() Window {
	return Window{w.Windows[0].Start, w.Windows[len(w.Windows)-1].End}
}

func (w *world) checkpoints() []Checkpoint {
	var all []Checkpoint
	for i, window := range w.Windows {
		all = append(all, Checkpoint{ID: int64(i + 1), Shard: i + 1, Window: window})
	}
	return all
}

// index returns where in the API's order the first record stands that shows a key, -1 if there is none.
func (w *world) index(key Key) int {
	return slices.IndexFunc(w.Records, func(r record) bool { e := r.event(); return !r.Bad && e.Key() == key })
}

// covered checks that everything of the window before a position in the API's order is stored. Records that show a time of
// another window are checked at the end of the run.
func (w *world) covered(t *table, window Window, before int) error {
	for i, r := range w.Records[:before] {
		switch {
		case !window.Contains(r.At):
		case r.Bad && !t.dead[r.reject().SHA256]:
			return fmt.Errorf("reject %d at %s is lost", i, r.At)
		case !r.Bad && window.Contains(r.Shown) && !has(t.rows, r.ID):
			return fmt.Errorf("record %d at %s is lost", i, r.At)
		}
	}
	return nil
}

// complete checks the whole table after all shards are done. It returns how many records are missing that look exactly like
// records of the older neighbour, which does not read that far.
func (w *world) complete(t *table, excused func(Window) bool) (blurred int, err error) {
	for i, r := range w.Records {
		window, inside := w.windowOf(r.At)
		switch {
		case !inside || slices.ContainsFunc(w.Windows, func(v Window) bool { return mayStore(v, r) && excused(v) }):
		case r.Bad && !t.dead[r.reject().SHA256]:
			return blurred, fmt.Errorf("reject %d at %s is lost for ever", i, r.At)
		case r.Bad || has(t.rows, r.ID):
		case w.blurs(i, window):
			blurred++
		default:
			return blurred, fmt.Errorf("record %d at %s, shown as %s, is lost for ever", i, r.At, r.Shown)
		}
	}
	return blurred, nil
}

// mayStore reports whether the shard of a window may be the one that has to store a record: the window that the record is in,
// the one that it seems to be in, and all in between if it looks newer than it is. If such a record is the first of its window,
// only the shard of a newer window that reads across its edge stores it.
func mayStore(v Window, r record) bool {
	return v.Contains(r.At) || v.Contains(r.Shown) || r.At < v.End && v.Start <= r.Shown
}

func (w *world) windowOf(i Instant) (Window, bool) {
	n := slices.IndexFunc(w.Windows, func(w Window) bool { return w.Contains(i) })
	if n < 0 {
		return Window{}, false
	}
	return w.Windows[n], true
}

// blurs reports whether nothing in the order shows that a record's timestamp is wrong: it looks older than its window, and so
// does everything of the window after it; or it is the first of the whole span and looks newer than the span.
func (w *world) blurs(i int, window Window) bool {
	if w.Records[i].Shown < window.Start {
		for _, r := range w.Records[i:] {
			if !r.Bad && window.Contains(r.At) && r.Shown >= window.Start {
				return false
			}
		}
		return true
	}
	if w.Records[i].Shown >= w.span().End {
		for _, r := range w.Records[:i] {
			if !r.Bad && window.Contains(r.At) && r.Shown < w.span().End {
				return false
			}
		}
		return true
	}
	return false
}

func has[K comparable, V any](m map[K]V, k K) bool {
	_, ok := m[k]
	return ok
}

// leastPages returns how many pages a walk without faults takes: up to the fourth older record, or to the end of the data and
// `again` pages to confirm it.
func (w *world) leastPages(s settings, window Window, cursor string) (all, again int) {
	a := api{Records: w.Records, Until: s.Until}
	first := a.startOf(Position{End: window.End, Cursor: cursor}, s)
	older := 0
	for i, r := range w.Records[first:] {
		if !r.Bad && r.At < window.Start {
			older++
		}
		if older == proofRecords {
			return i/s.Limit + 1, 0
		}
	}
	again = w.confirmPages(s, window, first, cursor)
	return max(1, ceil(len(w.Records)-first, s.Limit)) + again, again
}

// quiet returns how many more pages a window may take because of quiet hours: after one, four older records prove nothing.
func (w *world) quiet(s settings, window Window) int {
	at := window.Start
	for _, r := range w.Records {
		if r.Bad {
			continue
		}
		if at != window.Start && at.Sub(r.At) > widestStep || r.At < window.Start && window.Start.Sub(r.At) > widestStep {
			return 2*ceil(max(sceptical, s.Limit), s.Limit) + 1
		}
		at = r.At
	}
	return 0
}

// confirmPages returns how many pages it takes to read the end of the data again, after a walk from `first`.
func (w *world) confirmPages(s settings, window Window, first int, cursor string) int {
	a := api{Records: w.Records, Until: s.Until}
	last := first + max(0, len(w.Records)-first-1)/s.Limit*s.Limit // where the last page begins
	pos := Position{End: window.End}
	if last > first {
		var before, keys []Key
		for i, r := range w.Records[first:] {
			switch {
			case r.Bad || r.At >= window.End:
			case first+i < last:
				before = append(before, r.Key)
			default:
				keys = append(keys, r.Key)
			}
		}
		missing := max(0, len(w.Records)-last-(s.Limit-1%s.Limit-2)) // of the last page, from a shorter one
		switch {
		case len(before) > 0 && (missing == 0 || len(keys) == 0):
			pos.Resume = before[len(before)-1]
		case len(keys) > 0:
			pos.Resume = keys[min(missing, len(keys)-1)]
		}
	}
	led := last > first || cursor != ""
	from := last
	if _, bounded := pos.Until(); !led || !s.LeadWins && bounded && s.Until != untilRefused {
		from = a.startOf(pos, s)
	}
	return 1 + ceil(len(w.Records)-from-(s.Limit-1%s.Limit), s.Limit)
}

// startOf returns the position at which the first page for a place begins.
func (a *api) startOf(p Position, s settings) int {
	until, bounded := p.Until()
	switch {
	case p.Cursor != "":
		return parseCursor(p.Cursor).pos
	case bounded && s.Until != untilRefused:
		return a.seek(until)
	}
	return 0
}

// unproven returns how many records are older than a window, if they are too few to prove its end. Each shard that meets them may
// store them, because they look like records with wrong timestamps.
func (w *world) unproven(s settings, window Window) int {
	older, need := 0, proofRecords
	if w.quiet(s, window) > 0 {
		need = max(sceptical, s.Limit) + s.Limit
	}
	for _, r := range w.Records {
		if !r.Bad && r.At < window.Start {
			older++
		}
	}
	if older < need {
		return older
	}
	return 0
}

func ceil(n, by int) int { return max(0, (n+by-1)/by) }
