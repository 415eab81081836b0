package terminal

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"sluice/cmd/sluice/internal/view"
)

// frame returns the lines to draw in a window of that size: a bar for each shard that there is room for, one for all, and the figures of
// the run. It leaves a line to the cursor and some to the log: more lines than the window has would scroll away at every drawing.
func (s style) frame(v *view.View, width, height int) []string {
	below := s.below(v, width, max(1, min(4, height-2)))
	room := height - 1 - len(below) - height/6
	return append(s.above(v, width, room), below...)
}

// below returns the bar for all shards and the figures of the run, in limit lines at most.
func (s style) below(v *view.View, width, limit int) []string {
	all, label := row{{" " + amount(v), strong}}, "total "
	if width < 60 {
		label = ""
	}
	if cells := min(width-len(label)-all.width()-1, 60); cells >= 10 {
		all = append(append(row{{label, strong}}, s.bar(v.Share(), cells, good)...), all...)
	}
	return append([]string{s.draw(all, width)}, s.flow(figures(v), width, limit-1)...)
}

// flow puts parts into lines; the last ones are left out if there is no room.
func (s style) flow(parts []string, width, limit int) (lines []string) {
	line := ""
	for _, part := range parts {
		longer := line + ", " + part
		if line == "" {
			longer = part
		}
		if line != "" && utf8.RuneCountInString(longer) > width {
			lines, longer = append(lines, s.draw(row{{line, plain}}, width)), part
		}
		line = longer
	}
	lines = append(lines, s.draw(row{{line, plain}}, width))
	return lines[:min(max(limit, 0), len(lines))]
}

// above returns the bars of the shards: of all if there is room, or else of the active ones, and a line that sums up the rest.
func (s style) above(v *view.View, width, room int) (lines []string) {
	if room < 1 {
		return nil
	}
	all := len(v.Shards) <= room
	urgent, rest := map[int]bool{}, map[string]int{}
	for _, state := range []string{"running", "failed"} {
		for i := range v.Shards {
			if len(urgent) < room-1 && v.Shards[i].State == state {
				urgent[i] = true
			}
		}
	}
	for i := range v.Shards {
		if one := &v.Shards[i]; all || urgent[i] {
			lines = append(lines, s.draw(s.shard(one, v, width), width))
		} else {
			rest[one.State]++
		}
	}
	if all {
		return lines
	}
	return append(lines, s.draw(row{{restOf(rest, len(lines)), faint}}, width))
}

// restOf sums up the shards that are not shown.
func restOf(rest map[string]int, shown int) string {
	var parts []string
	for _, state := range []struct{ name, words string }{
		{"running", "more at work"}, {"done", "done"}, {"failed", "failed"}, {"suspect", "to be fetched again"}, {"pending", "not begun"},
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

// The terminal's width from which on a column is shown.
const (
	widthOfDoing  = 56
	widthOfEvents = 36
	widthOfStart  = 100
)

// shard returns the line of one: number, bar, share, events, what it does, and when its window begins.
func (s style) shard(one *view.Shard, v *view.View, width int) row {
	name := fmt.Sprintf("%*d ", len(fmt.Sprint(len(v.Shards))), one.Number)
	tail := row{{fmt.Sprintf(" %6s", view.Percent(one.Read)), plain}}
	if width >= widthOfEvents {
		tail = append(tail, span{fmt.Sprintf(" %*s", len(view.Number(max(v.Total, v.Stored))), view.Number(one.Events)), plain})
	}
	if width >= widthOfDoing {
		doing := one.State
		if one.Doing != "" {
			doing = one.Doing
		}
		tail = append(tail, span{fmt.Sprintf("  %-18s", doing), toneOf(one.State)})
	}
	if width >= widthOfStart {
		column, part := 0, one.Part()
		for i := range v.Shards {
			column = max(column, len(v.Shards[i].Part()))
		}
		if column > 0 {
			part = fmt.Sprintf("  %*s", -column, part)
		}
		begins := v.Beginning(one).UTC().Format("2006-01-02 15:04")
		tail = append(tail, span{fmt.Sprintf(" %-16s%s", begins, part), faint})
	}
	cells := min(width-len(name)-tail.width(), 60)
	return append(append(row{{name, faint}}, s.bar(one.Read, cells, toneOf(one.State))...), tail...)
}
