package datasync

import (
	"testing"
	"time"

	"sluice/fetch/apisim"
	"sluice/shard"
)

func (w *world) latest() shard.Latest {
	w.t.Helper()
	found, err := w.Latest(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// Asked every second, an API that repeats its answers for 30 s gives a new one each time, and the walk begins with it.
func TestTheLatestPageIsNeverAnOldOne(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 12_000, CacheLife: 30 * time.Second}}, func(w *world) {
		for n := 1; n <= 70; n++ {
			found := w.latest()
			if w.asked() != n || found.Events == 0 || found.Total != 12_000 || found.Oldest >= found.Newest {
				t.Fatalf("look %d took %d requests: %+v", n, w.asked(), found)
			}
			time.Sleep(time.Second)
		}
		if cached := w.Traffic().Cached; cached != 0 {
			t.Errorf("%d answers came from the API's cache", cached)
		}
		before := w.asked()
		pages := w.must(w.walk(top, 1))
		if n := w.asked() - before; n != 0 || pages[0].Start != shard.FromTop || pages[0].Events[0].At != w.latest().Newest {
			t.Errorf("the walk from the top asked for %d pages", n)
		}
	})
}

// Processes that run one after the other, such as `sluice sync` from a timer, are not shown each other's pages.
func TestTheLatestPageIsNotThatOfAnotherProcess(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 12_000, CacheLife: 30 * time.Second}}, func(w *world) {
		for n := 1; n <= 40; n++ {
			another, err := New(w.config)
			if err != nil {
				t.Fatal(err)
			}
			for range n % 5 { // so long is a follow in between
				if _, err := another.Latest(w.t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
			if cached := another.Traffic().Cached; cached != 0 {
				t.Fatalf("process %d was shown %d pages of others", n, cached)
			}
		}
	})
}

// Another process may have sent the same request a moment ago.
func TestAnAnswerFromTheCacheIsAskedForAnew(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 12_000, CacheLife: 30 * time.Second}}, func(w *world) {
		w.latest() // shows how large a page is
		first := w.wording.Load()
		w.latest()
		w.latest()
		w.wording.Store(first)
		before := w.asked()
		w.latest()
		if n := w.asked() - before; n != 3 {
			t.Errorf("%d requests, want two that the cache answered and one more", n)
		}
	})
}

func TestTheLatestPageOfAnEmptySource(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: apisim.None}}, func(w *world) {
		if found := w.latest(); found.Newest != 0 || found.Events != 0 {
			t.Errorf("%+v", found)
		}
	})
}

func TestTheNewestPageOfASurveyIsNotAskedForAgain(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 1000}}, func(w *world) {
		_, before := w.surveyed(shard.Past)
		pages := w.must(w.walk(top, forever))
		w.wantEvents(pages, w.truth())
		if n := w.asked() - before; n != len(pages)-1 || pages[0].Start != shard.FromTop {
			t.Errorf("%d requests for %d pages, the first %v", n, len(pages), pages[0].Start)
		}
		w.wantEvents(w.must(w.walk(top, forever)), w.truth())
		if n := w.asked() - before; n != 2*len(pages)-1 {
			t.Errorf("%d requests after the second walk of %d pages: it was kept for one", n, len(pages))
		}
	})
}

// A kept page does not answer a read that confirms an end, nor any that asks for something other than the newest page.
func TestAKeptPageAnswersNoOtherQuestion(t *testing.T) {
	for name, ask := range map[string]struct {
		from  shard.Position
		after time.Duration
	}{
		"to confirm an end":     {from: shard.Position{End: shard.Future, Vary: 1}},
		"the end of a window":   {from: shard.Position{End: shard.Instant(time.UnixMilli(1769541612370).UnixMicro())}},
		"after its cursor died": {from: top, after: 2*time.Minute + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{api: apisim.Config{Events: 90}}, func(w *world) {
				_, before := w.surveyed(shard.Past)
				time.Sleep(ask.after)
				w.must(w.walk(ask.from, 1))
				if n := w.asked() - before; n != 1 {
					t.Errorf("%d requests, want one", n)
				}
			})
		})
	}
}

// If the API says at once that there is no more, the end is confirmed by a request, not by the kept page.
func TestAnEndOnTheKeptPageIsReadTwice(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 90}}, func(w *world) {
		_, before := w.surveyed(shard.Past)
		pages := w.must(w.walk(top, forever))
		w.wantEvents(pages, w.truth())
		w.wantEvents(w.must(w.walk(shard.Position{End: shard.Future, Vary: 1}, forever)), w.truth())
		if n := w.asked() - before; n != 1 {
			t.Errorf("%d requests, want one", n)
		}
	})
}
