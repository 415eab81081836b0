package page

import (
	"fmt"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// piece is a part of the time line: a shard, or neighbouring ones.
type piece struct {
	ID, State, Title string
	From, To, Read   float64
}

// Left and Width are the piece's position in CSS: finer than people read it, so that a thousand shards leave no gaps.
func (p *piece) Left() string  { return position(p.From) }
func (p *piece) Width() string { return position(p.To - p.From) }

// Thin reports whether an edge would hide the piece: it is narrower than three pixels of a wide page.
func (p *piece) Thin() bool { return p.To-p.From < 0.003 }

func position(of float64) string { return fmt.Sprintf("%.3f", 100*min(max(of, 0), 1)) }

// maxRows is how many shards have a row and a piece of the time line each: of more, only those that are active or in trouble have, and
// quiet neighbours are drawn as one piece.
const maxRows = 256

func quiet(state string) bool { return state == "done" || state == "pending" }

// shards puts the shards on the page: the time line, and a row for each.
func (w *words) shards(v *view.View) {
	few := len(v.Shards) <= maxRows
	for i := range v.Shards {
		s := &v.Shards[i]
		last := len(w.Line) - 1
		if !few && last >= 0 && quiet(s.State) && w.Line[last].State == s.State {
			w.Line[last].Title = "several shards: " + s.State
			w.Line[last].To, w.Line[last].Read = s.To, s.Read
		} else {
			part := ""
			if s.Parent != 0 {
				part = ", " + s.Part()
			}
			w.Line = append(w.Line, piece{
				ID: fmt.Sprintf("l%d", s.Number), State: s.State, From: s.From, To: s.To, Read: s.Read,
				Title: fmt.Sprintf("shard %d%s: %s, %s %% read, %s events", s.Number, part, s.State, percent(s.Read), view.Number(s.Events)),
			})
		}
		if !few && (len(w.Rows) >= maxRows || quiet(s.State)) {
			w.Hidden++
			continue
		}
		w.Rows = append(w.Rows, row{s, v.At})
	}
	w.Done = fmt.Sprintf("%d of %d", v.Count("done"), len(v.Shards))
	if n := v.Count("failed"); n > 0 {
		w.Troubled = fmt.Sprintf("%d failed", n)
	} else if n := v.Count("running"); n > 0 {
		w.Troubled = fmt.Sprintf("%d at work", n)
	}
	w.Ages = ages(v)
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

// row is a shard in the table at an instant.
type row struct {
	*view.Shard
	at time.Time
}

// Sign stands for the state if colours cannot be seen.
func (r row) Sign() string {
	return map[string]string{"done": "✓", "running": "●", "failed": "✕", "suspect": "?", "pending": "○"}[r.State]
}

// Lag returns when the shard committed last: how long ago while it is active, or else the time of day, which stays.
func (r row) Lag() string {
	switch {
	case r.Commit.IsZero():
		return "–"
	case r.State != "running":
		return "at " + r.Commit.UTC().Format("15:04:05")
	}
	return view.Ago(r.Commit, r.at)
}

// Late is the class of an active shard that has not committed for a minute.
func (r row) Late() string {
	if r.State == "running" && !r.Commit.IsZero() && r.at.Sub(r.Commit) > time.Minute {
		return "late"
	}
	return ""
}

// Duration returns how long the shard took, from its first attempt to its last commit.
func (r row) Duration() string {
	if r.Took <= 0 {
		return "–"
	}
	return short(time.Duration(r.Took * float64(time.Second)))
}

// roundRow is a round in the table.
type roundRow struct{ view.Round }

// maxRoundRows is how many rounds have a row: the last ones.
const maxRoundRows = 12

// Duration returns how long the round took.
func (r roundRow) Duration() string {
	if r.Finished == nil {
		return "under way"
	}
	return short(r.Finished.Sub(r.Began))
}

// Lag returns how far the watermark was behind at the end of the round.
func (r roundRow) Lag() string {
	if r.Finished == nil || r.Watermark == nil {
		return "–"
	}
	return short(max(0, r.Finished.Sub(*r.Watermark)))
}

// edge writes the end of a window for people: to the second, in UTC.
func edge(at string) string {
	switch at {
	case "-infinity":
		return "open to the past"
	case "infinity":
		return "open to the future"
	case "":
		return "–"
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return at
	}
	return t.UTC().Format(time.DateTime)
}
