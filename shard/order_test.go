package shard

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawEvents draws from few instants and ids, so that ties and repeated records are frequent.
func drawEvents(t *rapid.T, name string, most int) []Event {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Event {
		return Event{At: Instant(rapid.Int64Range(0, 30).Draw(t, "at")), ID: idOf(rapid.IntRange(0, 5).Draw(t, "id"))}
	}), 0, most).Draw(t, name)
}

func keysOf(events []Event) []Key {
	var keys []Key
	for i := range events {
		keys = append(keys, events[i].Key())
	}
	return keys
}

// drawTail draws keys in order, as a walk remembers them.
func drawTail(t *rapid.T) []Key {
	tail := keysOf(drawEvents(t, "tail", tailKeys))
	slices.SortFunc(tail, compareKeys)
	return tail
}

func inOrder(keys []Key) bool {
	for i := 1; i < len(keys); i++ {
		if keys[i].Before(keys[i-1]) {
			return false
		}
	}
	return true
}

// longest returns the length of the longest subsequence in order, by trying all.
func longest(keys []Key) int {
	best, ending := 0, make([]int, len(keys))
	for i := range keys {
		ending[i] = 1
		for j := range i {
			if !keys[i].Before(keys[j]) {
				ending[i] = max(ending[i], ending[j]+1)
			}
		}
		best = max(best, ending[i])
	}
	return best
}

func TestOrderOf(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events, tail := drawEvents(rt, "events", 40), drawTail(rt)
		all := append(slices.Clone(tail), keysOf(events)...)
		o := orderOf(events, tail)
		kept := slices.Clone(o.before)
		for n := range o.count() {
			kept = append(kept, o.at(n).Key())
		}
		if !inOrder(kept) || len(kept) != longest(all) {
			rt.Fatalf("kept %v of %v, the longest run has %d", kept, all, longest(all))
		}
		if o.all != inOrder(all) && len(events) > 0 {
			rt.Fatalf("all in order: %t for %v", o.all, all)
		}
		if !o.all && (!slices.IsSorted(o.chain) || len(slices.Compact(slices.Clone(o.chain))) != len(o.chain)) {
			rt.Fatalf("the chain %v does not go forward", o.chain)
		}
		checkEnds(rt, &o, kept)
	})
}

// checkEnds compares the ends that an order reports with all keys in order.
func checkEnds(rt *rapid.T, o *order, kept []Key) {
	if want := kept[max(0, len(kept)-tailKeys):]; !slices.Equal(o.tail(), want) {
		rt.Fatalf("tail %v, want %v", o.tail(), want)
	}
	for n := 1; n <= len(kept)+1; n++ {
		if key, ok := o.back(n); ok != (n <= len(kept)) || ok && key != kept[len(kept)-n] {
			rt.Fatalf("back(%d) of %v is %v", n, kept, key)
		}
	}
}

func at(seconds ...int) []Event {
	var events []Event
	for i, s := range seconds {
		events = append(events, Event{At: epoch.Add(time.Duration(s) * time.Second), ID: idOf(i)})
	}
	return events
}

func TestOrderOutvotesWrongTimestamps(t *testing.T) {
	for name, c := range map[string]struct {
		tail, events []int
		count        int
		trusted      bool
		torn         bool
	}{
		"all in order":                     {[]int{9, 8}, []int{7, 6, 5}, 3, true, false},
		"an old one in the middle":         {[]int{9, 8}, []int{7, -999, 6, 5}, 3, true, false},
		"a new one in the middle":          {[]int{9, 8}, []int{7, 999, 6, 5}, 3, true, false},
		"an old one at the end of before":  {[]int{9, 8, -999}, []int{7, 6, 5}, 3, true, false},
		"an old one alone before":          {[]int{-999}, []int{7, 6}, 2, true, false},
		"a single new one":                 {[]int{9, 8}, []int{999}, 0, false, false},
		"an API that starts anew":          {[]int{9, 8, 7, 6}, []int{99, 98, 97, 96, 95}, 5, true, true},
		"an API that starts anew, briefly": {[]int{9, 8, 7, 6}, []int{99, 98}, 0, false, true},
		"no events":                        {[]int{9, 8}, nil, 0, true, false},
	} {
		o := orderOf(at(c.events...), keysOf(at(c.tail...)))
		if o.count() != c.count || o.trusted() != c.trusted || o.torn != c.torn {
			t.Errorf("%s: %d in order, trusted %t, torn %t; want %+v", name, o.count(), o.trusted(), o.torn, c)
		}
	}
}

// A jump is a step wider than all before it, and than many after it.
func TestJumps(t *testing.T) {
	batch := func(n, from, step int) (all []int) {
		for i := range n {
			all = append(all, from-i*step)
		}
		return all
	}
	join := slices.Concat[[]int]
	for name, c := range map[string]struct {
		tail, events      []int
		unconfirmed, last int // with 20 records that must follow
	}{
		"none":                              {nil, []int{50, 40, 30}, 3, 3},
		"at the end":                        {nil, []int{50, 40, -7200}, 2, 2},
		"sparse":                            {nil, batch(10, 72000, 3600), 10, 10},
		"a page of one":                     {[]int{60, 50, 40}, []int{-7200}, 0, 0},
		"the only one":                      {nil, []int{50}, 1, 1},
		"two, far from each other":          {nil, []int{7200, 0}, 1, 1},
		"two, a minute apart":               {nil, []int{60, 0}, 2, 2},
		"a batch with one wrong clock":      {nil, join(batch(9, 500, 10), batch(9, -99999999, 0)), 9, 9},
		"a batch with a clock that runs":    {nil, join(batch(9, 500, 10), batch(9, -99999999, 1)), 9, 9},
		"confirmed":                         {nil, join(batch(9, 500, 10), batch(30, -99999999, 1)), 39, 9},
		"a night between two sessions":      {nil, join(batch(50, 500, 10), batch(30, -40000, 10)), 80, 50},
		"a tie among sparse records":        {nil, join(batch(2, 60000, 100), batch(400, 59400, 0), batch(40, 59300, 100)), 442, 442},
		"a quiet hour at the beginning":     {nil, join(batch(2, 90000, 100), batch(200, 86000, 100)), 202, 202},
		"two nights, the second is at last": {nil, join(batch(50, 500, 10), batch(30, -40000, 10), batch(9, -990000, 10)), 80, 80},
	} {
		o := orderOf(at(c.events...), keysOf(at(c.tail...)))
		if got := o.jumps(Key{}, 0, 20); got.unconfirmed != c.unconfirmed || got.last != c.last {
			t.Errorf("%s: %+v, want %+v", name, got, c)
		}
	}
}

func TestOldestInOrder(t *testing.T) {
	for _, c := range []struct {
		events []int
		want   int
	}{{[]int{50, 40, 30, -7200}, 30}, {[]int{50, 40, 30, -7200, -7201, -7202}, 30}, {[]int{50, -7200, -7201, -7202}, -7202}} {
		if got, want := OldestInOrder(at(c.events...)), at(c.want)[0].At; got != want {
			t.Errorf("of %v the oldest in order is %s, want %s", c.events, got, want)
		}
	}
}

func TestStrays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := drawEvents(rt, "events", 40)
		o := orderOf(events, drawTail(rt))
		n := rapid.IntRange(0, len(events)).Draw(rt, "n")
		w := Window{Instant(rapid.Int64Range(0, 15).Draw(rt, "start")), Instant(rapid.Int64Range(15, 30).Draw(rt, "end"))}
		want := int64(0)
		for i := range n {
			if !o.all && !slices.Contains(o.chain, i) || !w.Contains(events[i].At) {
				want++
			}
		}
		if got := o.strays(n, w); got != want {
			rt.Fatalf("%d strays, want %d", got, want)
		}
	})
}

// The API lists the newer record first; of two at the same instant it may list either first.
func TestKeysAreInTheAPIsOrder(t *testing.T) {
	newer, older, other := Key{At: 2, ID: idOf(1)}, Key{At: 1, ID: idOf(2)}, Key{At: 1, ID: idOf(3)}
	if !newer.Before(older) || older.Before(newer) || older.Before(other) || other.Before(older) {
		t.Error("keys are not ordered by time alone")
	}
	if !newer.Leads(older) || older.Leads(newer) || !older.Leads(other) || older.Leads(older) {
		t.Error("a walk leads to other records that are not newer")
	}
}
