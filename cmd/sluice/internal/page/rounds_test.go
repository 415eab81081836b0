package page

import (
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// rounds is a job that follows its source: a round every minute, each leading to where the source was 10 s before its end. The
// last one is under way.
func rounds(n int) (all []view.Round) {
	for i := n; i > 0; i-- {
		end := noon.Add(-time.Duration(n-i) * time.Minute)
		mark := end.Add(-10 * time.Second)
		r := view.Round{
			Number: i, Began: end.Add(-3 * time.Second), Finished: &end, From: mark.Add(-10 * time.Minute).Format(time.RFC3339),
			To: mark.Format(time.RFC3339), Events: 1234, Late: 5, Requests: 2, Watermark: &mark,
		}
		if i == n {
			r.Finished = nil
		}
		all = append(all, r)
	}
	return all
}

// TestTheLagIsASaw: it grows with the clock and falls at the end of each round.
func TestTheLagIsASaw(t *testing.T) {
	v := view.View{At: noon, Phase: view.Ingesting, Rounds: rounds(4)}
	var got []float64
	for _, l := range v.Lags() {
		got = append(got, l.Seconds)
	}
	want := []float64{10, 70, 10, 70, 10, 70}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	c := lagOf(&v)
	if c.Says != "The watermark's lag over 3m 00s: 1m 10s now, 1m 10s at most" || c.Ticks[len(c.Ticks)-1].Label != "75 s" {
		t.Errorf("%q, ticks %v", c.Says, c.Ticks)
	}
	if v.Phase = view.Ended; len(v.Lags()) != 5 {
		t.Error("the lag of a run that has ended goes on")
	}
}

// TestRoundsHaveRows, a dozen at most, and those of a job without rounds no place on the page.
func TestRoundsHaveRows(t *testing.T) {
	v := running(1)
	v.Rounds = rounds(30)
	w := put(&v)
	if len(w.Rounds) != mostRoundRows || w.Rounds[0].Took != "under way" || w.Rounds[1].Took != "3s" || w.Rounds[1].Lag != "10s" || w.Rounds[1].Events != "1,234" {
		t.Errorf("%d rows, %+v", len(w.Rounds), w.Rounds[:2])
	}
	v.Rounds = rounds(1)
	parts, err := put(&v).parts()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if p.id == "rounds" && !strings.Contains(p.html, " hidden>") {
			t.Errorf("shown: %s", p.html)
		}
	}
}

// TestAPausedPageSaysHowToGoOn, in words and not only in a colour.
func TestAPausedPageSaysHowToGoOn(t *testing.T) {
	v := running(4)
	since := noon.Add(-90 * time.Second)
	v.Paused, v.GoOn, v.Limit = &since, "kill -USR1 42", "you paused it"
	w := put(&v)
	const want = "Paused by you at 11:58:30 UTC: nothing new is asked for, what was under way is committed. kill -USR1 42 goes on, SIGTERM ends the run."
	if w.Verdict != want || w.Phase.Text != "paused by you" || w.Left != "paused" || w.Took != "for 1m 30s" {
		t.Errorf("%q, %+v, %q %q", w.Verdict, w.Phase, w.Left, w.Took)
	}
	if v.Phase = view.Ended; put(&v).Verdict != "" {
		t.Error("a run that has ended is paused")
	}
}

// TestAPieceNamesItsWindow, in its row and on the time line.
func TestAPieceNamesItsWindow(t *testing.T) {
	v := running(3)
	v.Shards[2].Parent = 1
	w := put(&v)
	if w.Rows[2].Part != "part of 1" || w.Rows[1].Part != "" || !strings.HasPrefix(w.Line[2].Title, "window 3, part of 1: ") {
		t.Errorf("%+v, %q", w.Rows[2], w.Line[2].Title)
	}
}
