package page

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// rounds are those of a job that follows its source: one a minute, each leading to where the source was 10 s before its end. The last one is
// under way.
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

// TestTheLineHasNoGaps: neighbours that are drawn as one piece take up the space of all of them.
func TestTheLineHasNoGaps(t *testing.T) {
	v := running(1000)
	w := put(&v)
	if len(w.Line) > 40 {
		t.Errorf("%d pieces are drawn", len(w.Line))
	}
	end := 0.0
	for i := range w.Line {
		piece := &w.Line[i]
		if gap := cssNumber(piece.Left()) - end; gap > 1e-4 || gap < -1e-4 {
			t.Errorf("%s begins at %s %%, the one before ends at %.3f %%", piece.Title, piece.Left(), 100*end)
		}
		end = cssNumber(piece.Left()) + cssNumber(piece.Width())
	}
	if end < 0.9999 {
		t.Errorf("the line ends at %.3f %%", 100*end)
	}
}

func cssNumber(css string) (of float64) {
	_, _ = fmt.Sscanf(css, "%f", &of)
	return of / 100
}

// TestRoundsHaveRows, a dozen at most; the section is hidden if the job has no rounds.
func TestRoundsHaveRows(t *testing.T) {
	v := running(1)
	v.Rounds = rounds(30)
	w := put(&v)
	if len(w.Rounds) != maxRoundRows || w.Rounds[0].Duration() != "under way" || w.Rounds[1].Duration() != "3s" || w.Rounds[1].Lag() != "10s" || !strings.Contains(rowsOf(t, w), `<td class="n">1,234</td>`) {
		t.Errorf("%d rows, %+v", len(w.Rounds), w.Rounds[:2])
	}
	v.Rounds = rounds(1)
	if html := rowsOf(t, put(&v)); !strings.Contains(html, " hidden>") {
		t.Errorf("shown: %s", html)
	}
}

// rowsOf returns the rounds as they are sent.
func rowsOf(t *testing.T, w *words) string {
	t.Helper()
	parts, err := w.parts()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if p.id == "rounds" {
			return p.html
		}
	}
	return ""
}

// TestAPieceNamesItsWindow: a part names the shard that it was split from, in its row and on the time line.
func TestAPieceNamesItsWindow(t *testing.T) {
	v := running(3)
	v.Shards[2].Parent = 1
	w := put(&v)
	if w.Rows[2].Part() != "part of 1" || w.Rows[1].Part() != "" || !strings.HasPrefix(w.Line[2].Title, "shard 3, part of 1: ") {
		t.Errorf("%+v, %q", w.Rows[2], w.Line[2].Title)
	}
}
