package datasync

import (
	"testing"
	"time"

	"sluice/fetch/apisim"
	"sluice/shard"
)

// asked returns how many page requests came in.
func (w *world) asked() int {
	return int(w.counts(apisim.List).Requests + w.counts(apisim.Feed).Requests)
}

// surveyed looks at the API, and returns how many requests had come in then.
func (w *world) surveyed(from shard.Instant) (shard.Survey, int) {
	w.t.Helper()
	found, err := w.Survey(w.t.Context(), from)
	if err != nil {
		w.t.Fatal(err)
	}
	return found, w.asked()
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

// A read that confirms an end must be one, and so must all that ask for anything but the newest page.
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

// Where the API says at once that there is no more, the end is confirmed by a request, not by the page that was kept.
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

// The search for the oldest event takes up to ten requests. Nobody needs it who knows where to begin.
func TestASpanWithABeginningNeedsNoSearch(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 100_000}}, func(w *world) {
		from := shard.Instant(w.sim.Data().Event(50_000).OrderMS * 1000)
		found, asked := w.surveyed(from)
		if asked != 2 || found.Requests != 2 || found.Oldest != from || !w.Capabilities().UntilStream {
			t.Errorf("%d requests (it says %d), oldest %s, %+v", asked, found.Requests, found.Oldest, w.Capabilities())
		}
		if len(found.Samples) != 2 || found.Samples[1].From < from {
			t.Errorf("samples %v, want one between %s and the newest page", found.Samples, from)
		}
	})
}
