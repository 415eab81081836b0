package quota

import (
	"testing"
	"time"
)

func TestWindowFromRetryAfter(t *testing.T) {
	for _, c := range []struct {
		name       string
		sent       []float64 // all in seconds
		refused    float64
		retryAfter float64
		want       float64
		sure       bool
	}{
		{"our first request is the oldest", []float64{0, 3, 6}, 20, 40, 60, true},
		{"rounded up, and slow on its way", []float64{0, 3}, 20.7, 41, 60, true},
		{"fast on its way", []float64{0, 3}, 19.4, 40, 60, true},
		{"five minutes", []float64{0, 100}, 150, 150, 300, true},
		{"older ones have left, with a gap before the oldest", []float64{0, 1, 40, 41}, 70, 30, 60, true},
		{"a window of ours that began in the middle of one of the server's", []float64{0, 1}, 54, 36, 60, false},
		{"the oldest was not ours", []float64{0, 1}, 20, 10, 60, false},
		{"longer than any window", []float64{0}, 20, 3600, 60, false},
		{"no request of ours", nil, 20, 30, 60, false},
	} {
		var l requestLog
		for _, s := range c.sent {
			l.add(&request{at: at(seconds(s))})
		}
		if w, sure := l.window(at(seconds(c.refused)), seconds(c.retryAfter)); w != seconds(c.want) || sure != c.sure {
			t.Errorf("%s: %v (sure: %v), want %vs (%v)", c.name, w, sure, c.want, c.sure)
		}
	}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// A server whose refusals carry no figures. Two hundred in five minutes were taken for 58 in two, for good, with a refusal every seven minutes.
func TestExplainFindsTheWindowThatFits(t *testing.T) {
	for _, truth := range []Limit{{50, time.Minute}, {200, 5 * time.Minute}} {
		var l requestLog
		var overshotAt time.Time
		window, limit := time.Duration(0), 0
		ask := func(now time.Time) bool {
			r := &request{at: now, refused: len(l.after(now.Add(-truth.Window))) >= truth.N}
			if l.add(r); r.refused {
				overshotAt = now
				window, limit = l.explain(overshotAt)
			}
			return !r.refused
		}
		now := at(0)
		for ask(now) {
			now = now.Add(700 * time.Millisecond)
		}
		for lone := 0; window != truth.Window && lone < 6; lone++ {
			now = now.Add(window + time.Second)
			for range truth.N { // and on, if the lone one was let through
				if !ask(now) {
					break
				}
				now = now.Add(200 * time.Millisecond)
			}
		}
		if window != truth.Window || limit != truth.N {
			t.Errorf("%d per %v, want %s", limit, window, truth)
		}
	}
}
