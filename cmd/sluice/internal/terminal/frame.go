package terminal

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/cmd/sluice/internal/view"
)

// frame is all that is drawn in a window of that size: a bar for each shard that there is room for, one for all, what there is
// to say. It leaves the cursor a line, and some to the log: more lines than the window has would scroll away at every drawing.
func (s style) frame(r *rate, v View, now time.Time, width, height int) []string {
	below := s.below(r, &v, now, width, max(1, min(4, height-2)))
	room := height - 1 - len(below) - height/6
	return append(s.above(&v, width, room), below...)
}

// below is the bar for all shards, and what is to be said about the run, in so many lines at most.
func (s style) below(r *rate, v *View, now time.Time, width, most int) []string {
	amount := " " + v.amount()
	label := "total "
	if width < 60 {
		label = ""
	}
	cells := min(width-len(label)-len(amount)-1, 60)
	if cells < 10 {
		return append([]string{s.draw(row{{amount, strong}}, width)}, s.flow(r.parts(v, now), width, most-1)...)
	}
	all := append(row{{label, strong}}, s.bar(v.share(), cells, good)...)
	return append([]string{s.draw(append(all, span{amount, strong}), width)}, s.flow(r.parts(v, now), width, most-1)...)
}

// flow puts parts into lines; the last ones are left out where there is no room.
func (s style) flow(parts []string, width, most int) (lines []string) {
	line := ""
	for _, part := range parts {
		longer := line + ", " + part
		if line == "" {
			longer = part
		}
		if line != "" && utf8.RuneCountInString(longer) > width {
			lines, longer = append(lines, line), part
		}
		line = longer
	}
	lines = append(lines, line)
	for i, line := range lines {
		lines[i] = s.draw(row{{line, plain}}, width)
	}
	return lines[:min(max(most, 0), len(lines))]
}

// above are the bars of the shards: of all where there is room, or else of those that move, and a line that sums up the rest.
func (s style) above(v *View, width, room int) (lines []string) {
	shown := v.sorted()
	if room < 1 {
		return nil
	}
	if len(shown) <= room {
		for i := range shown {
			lines = append(lines, s.draw(s.shard(&shown[i], v, width), width))
		}
		return lines
	}
	rest := map[string]int{}
	moves := mostUrgent(shown, room-1)
	for i := range shown {
		if moves[i] {
			lines = append(lines, s.draw(s.shard(&shown[i], v, width), width))
			continue
		}
		rest[shown[i].State]++
	}
	return append(lines, s.draw(row{{restOf(rest, len(lines)), faint}}, width))
}

// mostUrgent picks so many shards at most: those that run, then those that failed.
func mostUrgent(shown []Shard, most int) map[int]bool {
	picked := map[int]bool{}
	for _, state := range []string{"running", "failed"} {
		for i := range shown {
			if len(picked) < most && shown[i].State == state {
				picked[i] = true
			}
		}
	}
	return picked
}

// restOf sums up the shards that are not shown.
func restOf(rest map[string]int, shown int) string {
	var parts []string
	for _, state := range []struct{ name, words string }{
		{"running", "more at work"}, {"done", "done"}, {"failed", "failed"}, {"suspect", "to be walked again"}, {"pending", "not begun"},
	} {
		if n := rest[state.name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state.words))
		}
	}
	if shown == 0 {
		return strings.Join(parts, ", ")
	}
	return "and " + strings.Join(parts, ", ")
}

// The window's width from which a column is shown.
const (
	widthOfDoing  = 56
	widthOfEvents = 36
	widthOfStart  = 100
)

// shard is the line of one: number, bar, share, events, what it does, since when its window begins.
func (s style) shard(one *Shard, v *View, width int) row {
	name := fmt.Sprintf("%*d ", len(fmt.Sprint(len(v.Shards))), one.Number)
	tail := row{{fmt.Sprintf(" %6s", view.Percent(one.Share)), plain}}
	if width >= widthOfEvents {
		tail = append(tail, span{fmt.Sprintf(" %*s", len(view.Number(max(v.Total, v.Stored))), view.Number(one.Events)), plain})
	}
	if width >= widthOfDoing {
		tail = append(tail, span{fmt.Sprintf("  %-18s", one.says()), one.tone()})
	}
	if width >= widthOfStart {
		tail = append(tail, span{fmt.Sprintf(" %-16s%s", one.From, v.origin(one)), faint})
	}
	cells := min(width-len(name)-tail.width(), 60)
	return append(append(row{{name, faint}}, s.bar(one.Share, cells, one.tone())...), tail...)
}

// origin says which shard one was split from: a column of its own, once there is one that was.
func (v *View) origin(one *Shard) string {
	width := 0
	for i := range v.Shards {
		width = max(width, len(v.Shards[i].part()))
	}
	return fmt.Sprintf("%*s", -width, one.part())
}

func (one *Shard) part() string {
	if one.Parent == 0 {
		return ""
	}
	return fmt.Sprintf("  part of %d", one.Parent)
}

func (r row) width() (sum int) {
	for _, one := range r {
		sum += utf8.RuneCountInString(one.text)
	}
	return sum
}

func (one *Shard) says() string {
	if one.State == "running" && one.Doing != "" {
		return one.Doing
	}
	return one.State
}

func (one *Shard) tone() tone {
	switch one.State {
	case "done":
		return good
	case "failed":
		return bad
	case "running":
		return moving
	case "suspect":
		return notice
	}
	return faint
}
