package page

import (
	"cmp"
	"fmt"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// window is a piece of the time line.
type window struct {
	ID, State, Title  string
	Left, Width, Read string
	Thin              bool // so narrow that an edge would hide it
}

type row struct {
	Number                             int
	Part                               string // what it is a part of
	State, Sign, Says, Percent         string
	Events, Pages, Rejected, Lag, Late string
	Start, End                         string
	Proof, Attempts, Took, Error       string // in a report
}

// mostRows is how many windows have a row and a piece of the time line each: of more, only those that are at work or in
// trouble have, and quiet neighbours are drawn as one.
const mostRows = 256

func (w *words) shards(v *view.View) {
	count := map[string]int{}
	few := len(v.Shards) <= mostRows
	for i := range v.Shards {
		s := &v.Shards[i]
		count[s.State]++
		w.draw(s, few)
		if !few && (len(w.Rows) >= mostRows || quiet(s.State)) {
			w.Hidden++
			continue
		}
		w.Rows = append(w.Rows, putRow(s, v.At))
	}
	w.Done = fmt.Sprintf("%d of %d", count["done"], len(v.Shards))
	switch {
	case count["failed"] > 0:
		w.Troubled = fmt.Sprintf("%d failed", count["failed"])
	case count["running"] > 0:
		w.Troubled = fmt.Sprintf("%d at work", count["running"])
	}
	w.Ages = ages(v)
}

func quiet(state string) bool { return state == "done" || state == "pending" }

// draw adds a window to the time line. Neighbours that are quiet in the same way become one, where there are many.
func (w *words) draw(s *view.Shard, few bool) {
	drawn := window{
		ID: fmt.Sprintf("l%d", s.Number), State: s.State, Read: percent(s.Read), Left: share(s.From), Width: share(s.To - s.From),
		Thin:  s.To-s.From < thinnest,
		Title: fmt.Sprintf("window %d%s: %s, %s %% read, %s events", s.Number, partOf(", ", s), s.State, percent(s.Read), view.Number(s.Events)),
	}
	if n := len(w.Line); !few && n > 0 && quiet(s.State) && w.Line[n-1].State == s.State {
		before := &w.Line[n-1]
		before.Title, before.Read = "several windows: "+s.State, drawn.Read
		before.Width = share(s.To - place(before.Left))
		return
	}
	w.Line = append(w.Line, drawn)
}

// thinnest is the part of the time line from which on a window has an edge of its own: three pixels of a wide page.
const thinnest = 0.003

// share returns a part of the whole line in CSS: finer than people read it, so that a thousand windows have no gaps.
func share(of float64) string { return fmt.Sprintf("%.3f", 100*min(max(of, 0), 1)) }

func place(css string) (of float64) {
	_, _ = fmt.Sscanf(css, "%f", &of) // it is one of share's
	return of / 100
}

// ages names five instants of the time line, evenly spread, or none if its ends are not known.
func ages(v *view.View) (names []string) {
	span := v.Newest.Sub(v.Oldest)
	if v.Oldest.IsZero() || span <= 0 {
		return nil
	}
	layout := "2006-01-02"
	switch {
	case span < 2*time.Hour:
		layout = "15:04:05"
	case span < 4*24*time.Hour:
		layout = "01-02 15:04"
	}
	for i := range 5 {
		names = append(names, v.Oldest.Add(span*time.Duration(i)/4).UTC().Format(layout))
	}
	return names
}

// signs of the states, for those who do not see their colours.
var signs = map[string]string{"done": "✓", "running": "●", "failed": "✕", "suspect": "?", "pending": "○"}

// late is how long a window that is at work may go without a commit before its row says so.
const late = time.Minute

func putRow(s *view.Shard, now time.Time) row {
	r := row{
		Number: s.Number, Part: partOf("", s), State: s.State, Sign: signs[s.State], Says: s.State, Percent: percent(s.Read), Events: view.Number(s.Events),
		Pages: view.Number(s.Pages), Rejected: view.Number(s.Rejected), Start: edge(s.Start), End: edge(s.End), Lag: "–",
		Proof: cmp.Or(s.Proof, "–"), Attempts: fmt.Sprint(s.Attempts), Error: s.Error, Took: "–",
	}
	if s.State == "running" && s.Doing != "" {
		r.Says = s.Doing
	}
	if s.Took > 0 {
		r.Took = short(time.Duration(s.Took * 1e9))
	}
	if !s.Commit.IsZero() {
		r.lag(s, now)
	}
	return r
}

// partOf says which window one was split from, and nothing of one that was planned as it is.
func partOf(before string, s *view.Shard) string {
	if s.Parent == 0 {
		return ""
	}
	return fmt.Sprintf("%spart of %d", before, s.Parent)
}

// lag says when a window was last committed: since when, while it is at work; of the others the time of day, which stays.
func (r *row) lag(s *view.Shard, now time.Time) {
	if s.State != "running" {
		r.Lag = "at " + s.Commit.UTC().Format("15:04:05")
		return
	}
	r.Lag = ago(s.Commit, now)
	if now.Sub(s.Commit) > late {
		r.Late = "late"
	}
}

// edge writes an end of a window as people read it: to the second, in UTC.
func edge(at string) string {
	switch at {
	case "-infinity":
		return "open to the past"
	case "infinity":
		return "open to the future"
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return at
	}
	return t.UTC().Format(time.DateTime)
}
