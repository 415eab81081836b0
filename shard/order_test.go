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
	point := o.resumePoint()
	switch {
	case o.count() == 0 && point.IsZero():
	case o.count() > 0 && slices.Contains(kept[max(0, len(kept)-2):], point):
	default:
		rt.Fatalf("resume point %v, %d in order: %v", point, o.count(), kept)
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

func TestResumePointAvoidsAFarStep(t *testing.T) {
	for name, c := range map[string]struct {
		tail, events []int
		want         int // index in tail and events; -1: none
	}{
		"the last":                        {nil, []int{50, 40, 30}, 2},
		"a far step at the end":           {nil, []int{50, 40, -7200}, 1},
		"a far step, but sparse":          {nil, []int{7200, 3600, 0}, 2},
		"a far step within a page of one": {[]int{60, 50, 40}, []int{-7200}, 2},
		"the only one":                    {nil, []int{50}, 0},
		"two, far from each other":        {nil, []int{7200, 0}, 0},
		"two, a minute apart":             {nil, []int{60, 0}, 1},
		"a wrong one before":              {[]int{50, 40, -7200}, []int{30}, 3},
		"none in order":                   {[]int{50, 40, 30}, []int{999}, -1},
	} {
		var want Key
		if all := append(at(c.tail...), at(c.events...)...); c.want >= 0 {
			want = all[c.want].Key()
		}
		o := orderOf(at(c.events...), keysOf(at(c.tail...)))
		if got := o.resumePoint(); got != want {
			t.Errorf("%s: resume at %s, want %s", name, got.At, want.At)
		}
	}
}

func TestOldestInOrder(t *testing.T) {
	if got, want := OldestInOrder(at(50, 40, 30, -7200)), at(30)[0].At; got != want {
		t.Errorf("the oldest in order is %s, want %s", got, want)
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

// The API lists the newer record first, and of two at the same instant the one with the greater id.
func TestKeysAreInTheAPIsOrder(t *testing.T) {
	low, high := idOf(1), idOf(2)
	if low.String() > high.String() {
		low, high = high, low
	}
	listed := []Key{{At: 2, ID: low}, {At: 1, ID: high}, {At: 1, ID: low}, {At: 0, ID: high}}
	for i, a := range listed {
		for k, b := range listed {
			if a.Before(b) != (i < k) {
				t.Errorf("%v before %v: %t", a, b, a.Before(b))
			}
		}
	}
}
