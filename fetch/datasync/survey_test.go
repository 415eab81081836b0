package datasync

import (
	"strings"
	"testing"
	"time"

	"sluice/fetch/apisim"
	"sluice/shard"
)

// surveyed surveys the API, and returns how many requests had come in by then.
func (w *world) surveyed(from shard.Instant) (shard.Survey, int) {
	w.t.Helper()
	found, err := w.Survey(w.t.Context(), from)
	if err != nil {
		w.t.Fatal(err)
	}
	return found, w.asked()
}

// blindTop replaces the newest records of an API by null.
func blindTop(c apisim.Config, n int64) apisim.Config {
	c.Records = map[int64][]byte{}
	for i := range n {
		c.Records[c.Events-1-i] = []byte("null")
	}
	return c
}

// TestUnreadableNewestPageDoesNotStopTheStart: one unreadable record stood alone in the newest page, and the run ended before it
// began, with the advice to give a span, which would not have helped.
func TestUnreadableNewestPageDoesNotStopTheStart(t *testing.T) {
	play(t, scene{api: blindTop(apisim.Config{Events: 5000}, 250)}, func(w *world) {
		found, err := w.Survey(w.t.Context(), shard.Past)
		if err != nil {
			t.Fatal(err)
		}
		if want := w.sim.Data().Event(5000 - 251).AtMS; found.Newest != shard.Instant(want*1000) || found.Total != 5000 {
			t.Errorf("newest %s of %d events, want %d ms", found.Newest, found.Total, want)
		}
	})
}

// TestAWaitSaysNothingOfTheAPI: a stream whose Retry-After was longer than a run may wait was recorded as one that cannot be asked by
// timestamp, for the life of the job, whose windows were then walked one after another.
func TestAWaitSaysNothingOfTheAPI(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 5000}}, func(w *world) {
		w.sim.Script(apisim.Feed, apisim.Limited(time.Hour))
		w.sim.Script(apisim.List, apisim.Behave(), apisim.Limited(time.Hour))
		_, err := w.Survey(w.t.Context(), shard.Past)
		wantStop(t, err, shard.WaitTooLong)
	})
}

func TestAnAPIOfNothingReadableIsRefusedSoon(t *testing.T) {
	play(t, scene{api: blindTop(apisim.Config{Events: 5000}, 5000)}, func(w *world) {
		found, err := w.Survey(w.t.Context(), shard.Past)
		if w.said(err) == nil || !strings.Contains(err.Error(), "not-an-object") || found.Requests != maxUnreadable {
			t.Errorf("%v after %d requests", err, found.Requests)
		}
	})
}

// The search for the oldest event takes up to ten requests. It is not needed if the beginning of the span is known.
func TestASpanWithABeginningNeedsNoSearch(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 100_000}}, func(w *world) {
		from := shard.Instant(w.sim.Data().Event(50_000).OrderMS * 1000)
		found, asked := w.surveyed(from)
		if asked != 3 || found.Requests != 3 || found.Oldest != from || !w.Capabilities().UntilStream {
			t.Errorf("%d requests (it says %d), oldest %s, %+v", asked, found.Requests, found.Oldest, w.Capabilities())
		}
		if len(found.Samples) != 2 || found.Samples[1].From < from {
			t.Errorf("samples %v, want one between %s and the newest page", found.Samples, from)
		}
	})
}
