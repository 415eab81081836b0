package page

import (
	"testing"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// TestAPausedPageSaysHowToGoOn, in words and not only in a colour.
func TestAPausedPageSaysHowToGoOn(t *testing.T) {
	v := running(4)
	since := noon.Add(-90 * time.Second)
	v.Paused, v.GoOn, v.Limit = &since, "kill -USR1 42", "you paused it"
	w := put(&v)
	const want = "Paused by you at 11:58:30 UTC: no new pages are requested, pages in flight are committed. To resume: kill -USR1 42. To stop: SIGTERM."
	if w.Verdict != want || w.Phase.Text != "paused by you" || w.Left != "paused" || w.Took != "for 1m 30s" {
		t.Errorf("%q, %+v, %q %q", w.Verdict, w.Phase, w.Left, w.Took)
	}
	if v.Phase = view.Ended; put(&v).Verdict != "" {
		t.Error("a run that has ended is paused")
	}
}
