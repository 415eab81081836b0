package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// markdown is the report for people: one table, and what it was measured on.
func (r *Report) markdown(last *Report) string {
	rows := [][]string{{"", "value", "unit", "spread", "ratio", "goal", "", "last time"}}
	section := ""
	for i := range r.Figures {
		f := &r.Figures[i]
		if f.Section != section {
			section = f.Section
			rows = append(rows, []string{"**" + section + "**", "", "", "", "", "", "", ""})
		}
		rows = append(rows, f.cells(last.find(f, r)))
	}
	return fmt.Sprintf("%s\n%s\n\n%s", r.Machine, r.method(), align(rows))
}

func (r *Report) method() string {
	passes := ""
	if r.Passes > 1 {
		passes = fmt.Sprintf("; medians of %d passes through all sections", r.Passes)
	}
	later := ""
	for _, l := range r.Later {
		later += fmt.Sprintf("; %s is of %s, %s, %d passes", l.Section, l.Date, l.Revision, max(l.Passes, 1))
	}
	return fmt.Sprintf("%s events; the whole is the median of %d; a ratio is to what was measured beside it in the same minutes; "+
		"the floor is server-side COPY of the same rows into the same table%s%s", grouped(float64(r.Events)), max(r.Repeat, 1), passes, later)
}

// cells is a line of the table.
func (f *Figure) cells(last *Figure) []string {
	ratio, goal, met, before := "", "", "", ""
	if f.Beside != "" {
		ratio = fmt.Sprintf("%.2f × %s", f.Ratio, f.Beside)
	}
	if f.Goal != nil {
		goal, met = f.Goal.String(), map[bool]string{true: "reached", false: "**missed**"}[f.met()]
	}
	if last != nil && last.compared() != 0 && last.compared() != f.compared() {
		before = fmt.Sprintf("%s (%+.0f %%)", short(last.compared()), (f.compared()/last.compared()-1)*100)
	}
	spread := ""
	if f.Spread > 0 {
		spread = fmt.Sprintf("%.0f %%", f.Spread*100)
	}
	return []string{f.Name, short(f.Value), f.Unit, spread, ratio, goal, met, before}
}

func (g *Goal) String() string {
	if g.Most > 0 {
		return "≤ " + strconv.FormatFloat(g.Most, 'g', -1, 64)
	}
	return "≥ " + strconv.FormatFloat(g.Least, 'g', -1, 64)
}

// short is a number with three digits, or all that stand before the point.
func short(v float64) string {
	if math.Abs(v) >= 100 {
		return grouped(math.Round(v))
	}
	if v == 0 {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', min(max(digits, 0), 4), 64)
}

// grouped writes a whole number as 3,000,000.
func grouped(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// align is a Markdown table that reads well as plain text, too: numbers to the right.
func align(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i == 1 || i == 3 {
				cell = pad + cell
			} else {
				cell += pad
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
		if n == 0 {
			b.WriteString(rule(widths))
		}
	}
	return b.String()
}

// rule is the line under the head.
func rule(widths []int) string {
	var b strings.Builder
	for i, w := range widths {
		if i == 1 || i == 3 {
			b.WriteString("|" + strings.Repeat("-", w+1) + ":")
		} else {
			b.WriteString("|" + strings.Repeat("-", w+2))
		}
	}
	return b.String() + "|\n"
}
