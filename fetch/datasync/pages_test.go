package datasync

import (
	"slices"
	"testing"
	"time"

	"sluice/fetch/apisim"
	"sluice/shard"
)

// top is the place at which the whole API is read.
var top = shard.Position{End: shard.Future}

func TestWalkFromTheTopReadsEverythingInOrder(t *testing.T) {
	for name, api := range map[string]apisim.Config{
		"nested":     {Events: 1234},
		"flat":       {Events: 1234, Flat: true},
		"gzip":       {Events: 1234, Gzip: true},
		"opaque":     {Events: 1234, Opaque: true},
		"one page":   {Events: 100},
		"ties":       {Events: 1234, PageCap: 137, Ties: []apisim.Tie{{Events: 700, At: time.UnixMilli(1768000000000)}}},
		"full pages": {Events: 1200},
		"one event":  {Events: 1},
		"empty":      {Events: apisim.None},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{api: api, caps: both}, func(w *world) {
				pages := w.must(w.walk(top, forever))
				w.wantEvents(pages, w.truth())
				if last := pages[len(pages)-1]; last.More || last.Cursor != "" || pages[0].Start != shard.FromTop {
					t.Errorf("first page %v, last page more %t, cursor %q", pages[0].Start, last.More, last.Cursor)
				}
				for i, p := range pages[1:] {
					if p.Start != shard.ByCursor || p.Received != len(p.Events) || p.Bytes == 0 {
						t.Errorf("page %d: start %v, received %d of %d events, %d bytes", i+1, p.Start, p.Received, len(p.Events), p.Bytes)
					}
				}
			})
		})
	}
}

// A window's end is asked for by timestamp. Nobody knows whether until includes its own millisecond: what was asked for and
// everything older must come either way.
func TestWalkFromATimestamp(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		t.Run(map[bool]string{false: "inclusive", true: "exclusive"}[exclusive], func(t *testing.T) {
			play(t, scene{api: apisim.Config{Events: 500, UntilExclusive: exclusive}, caps: both}, func(w *world) {
				truth := w.truth()
				end := truth[120].At + 1
				pages := w.must(w.walk(shard.Position{End: end}, forever))
				first := 120
				if !exclusive {
					for first > 0 && truth[first-1].At <= shard.Instant(end.CeilMilli()*1000) {
						first--
					}
				}
				w.wantEvents(pages, truth[first:])
				if pages[0].Start != shard.ByUntil || pages[0].Endpoint != Stream || pages[1].Endpoint != List {
					t.Errorf("first page %v from %v, second from %v", pages[0].Start, pages[0].Endpoint, pages[1].Endpoint)
				}
			})
		})
	}
}

func TestWalkFromACursorOfTheOtherEndpoint(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: both}, func(w *world) {
		truth := w.truth()
		first := w.must(w.walk(shard.Position{End: truth[0].At + 1}, 1))[0]
		if first.Endpoint != Stream {
			t.Fatalf("the first page came from the %s", first.Endpoint)
		}
		place := shard.Position{End: shard.Future, Cursor: first.Cursor, CursorExpires: first.CursorExpires}
		pages := w.must(w.walk(place, forever))
		w.wantEvents(pages, truth[100:])
		if pages[0].Start != shard.ByCursor || pages[0].Endpoint != List {
			t.Errorf("the second page came from the %s, %v", pages[0].Endpoint, pages[0].Start)
		}
	})
}

// A confirming read must not be answered from the cache: it is Vary records shorter, whatever the page size is.
func TestVaryChangesTheRequest(t *testing.T) {
	for name, api := range map[string]apisim.Config{
		"nested": {Events: 500, CacheLife: time.Minute},
		"flat":   {Events: 500, CacheLife: time.Minute, Flat: true},
		"small":  {Events: 5, PageCap: 3, CacheLife: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{api: api, caps: Capabilities{PageSize: 3}}, func(w *world) {
				for vary := range 3 {
					if page := w.must(w.walk(shard.Position{End: shard.Future, Vary: vary}, 1))[0]; page.Cached {
						t.Errorf("vary %d was answered from the cache", vary)
					}
				}
				if again := w.must(w.walk(top, 1))[0]; !again.Cached {
					t.Error("the same request again did not come from the cache")
				}
				if queries := w.queries(apisim.List); !slices.Equal(queries, []string{"limit=3", "limit=2", "limit=1", "limit=3"}) {
					t.Errorf("asked %s", queries)
				}
			})
		})
	}
}

// Only the first page differs: those after it are asked for in full.
func TestVaryIsForTheFirstPageOnly(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly}, func(w *world) {
		pages := w.must(w.walk(shard.Position{End: shard.Future, Vary: 7}, 2))
		if len(pages[0].Events) != 93 || len(pages[1].Events) != 100 {
			t.Errorf("pages of %d and %d events", len(pages[0].Events), len(pages[1].Events))
		}
	})
}

// An API that gives smaller pages later on than it did at first is asked for as many as before, so that one odd answer does
// not make all pages small; but what must differ has to differ below what it gives now.
func TestVaryFollowsAShrinkingPage(t *testing.T) {
	for name, flat := range map[string]bool{"nested": false, "flat": true} {
		t.Run(name, func(t *testing.T) {
			caps := Capabilities{PageSize: 400}
			play(t, scene{api: apisim.Config{Events: 1000, PageCap: 50, Flat: flat}, caps: caps}, func(w *world) {
				w.must(w.walk(top, 1))
				varied := w.must(w.walk(shard.Position{End: shard.Future, Vary: 1}, 2))
				if len(varied[0].Events) != 49 || len(varied[1].Events) != 50 {
					t.Errorf("pages of %d and %d events", len(varied[0].Events), len(varied[1].Events))
				}
			})
		})
	}
}

func TestLargeResponseBecomesPieces(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 23_000, PageCap: 12_000}}, func(w *world) {
		pages := w.must(w.walk(top, forever))
		w.wantEvents(pages, w.truth())
		var sizes, rests []int
		for _, p := range pages {
			sizes, rests = append(sizes, len(p.Events)), append(rests, p.Rest)
			if (p.Rest > 0) != (p.Cursor == "") && p.More {
				t.Errorf("a page with %d pieces to follow has the cursor %q", p.Rest, p.Cursor)
			}
		}
		if want := []int{5000, 5000, 2000, 5000, 5000, 1000}; !slices.Equal(sizes, want) {
			t.Errorf("pieces of %v, want %v", sizes, want)
		}
		if want := []int{2, 1, 0, 2, 1, 0}; !slices.Equal(rests, want) {
			t.Errorf("pieces to follow %v, want %v", rests, want)
		}
		if n := w.counts(apisim.List).Requests; n != 2 {
			t.Errorf("%d requests", n)
		}
	})
}

// The iterator may be left at any page: nothing runs on (the bubble would not end), no quota is held, and the connection is
// kept for the next walk.
func TestBreakLeavesNothingBehind(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 1000}, caps: both}, func(w *world) {
		for most := 1; most <= 10; most++ {
			pages := w.must(w.walk(shard.Position{End: w.truth()[0].At + 1}, most))
			if len(pages) != most {
				t.Fatalf("%d pages, want %d", len(pages), most)
			}
		}
		if n := w.pipe.dialed.Load(); n != 1 {
			t.Errorf("%d connections for one fetcher", n)
		}
	})
}
