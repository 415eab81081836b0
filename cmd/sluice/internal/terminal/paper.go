package terminal

import (
	"fmt"
	"io"
	"strings"

	"sluice/cmd/sluice/internal/view"
)

// Paper is stdout for what the commands print for people: in colours on a terminal that has them. It keeps the first error.
type Paper struct {
	w   io.Writer
	s   style
	err error
}

// NewPaper returns a paper over w.
func NewPaper(w io.Writer, environ Environ) *Paper { return &Paper{w: w, s: styleOf(w, environ)} }

// Err returns the first error of writing.
func (p *Paper) Err() error { return p.err }

// Line writes a line.
func (p *Paper) Line(format string, args ...any) { p.print(fmt.Sprintf(format, args...)) }

func (p *Paper) print(line string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(line, " "))
	}
}

// Fact writes a line that begins with its subject.
func (p *Paper) Fact(name, format string, args ...any) {
	p.print(p.s.paint(fmt.Sprintf("%-9s ", name), faint) + fmt.Sprintf(format, args...))
}

// Say writes a line with a cell in front, such as a verdict.
func (p *Paper) Say(first Cell, format string, args ...any) {
	p.print(p.drawn(first) + " " + fmt.Sprintf(format, args...))
}

// Cell is a part of a line with its tones.
type Cell = row

// Text returns a plain cell.
func Text(format string, args ...any) Cell { return Cell{{fmt.Sprintf(format, args...), plain}} }

// Faint returns a less important cell.
func Faint(format string, args ...any) Cell { return Cell{{fmt.Sprintf(format, args...), faint}} }

// Good, Bad and Notice return cells of that meaning.
func Good(text string) Cell   { return Cell{{text, good}} }
func Bad(text string) Cell    { return Cell{{text, bad}} }
func Notice(text string) Cell { return Cell{{text, notice}} }

// State returns the state of a shard.
func State(state string) Cell { return Cell{{state, toneOf(state)}} }

// Bar returns a bar for a shard in that state, and its share.
func (p *Paper) Bar(share float64, cells int, state string) Cell {
	return append(p.s.bar(share, cells, toneOf(state)), span{fmt.Sprintf(" %6s", view.Percent(share)), plain})
}

// Table is rows with aligned columns. A heading that begins with > aligns its column to the right.
type Table struct {
	Heads []string
	Rows  [][]Cell
}

// Add adds a row.
func (t *Table) Add(cells ...Cell) { t.Rows = append(t.Rows, cells) }

// Number returns a cell with separated thousands.
func Number(n int64) Cell { return Text("%s", view.Number(n)) }

// Table writes a table, or nothing if it is empty.
func (p *Paper) Table(t Table) {
	if len(t.Rows) == 0 {
		return
	}
	heads := make([]Cell, len(t.Heads))
	for i, head := range t.Heads {
		heads[i] = Faint("%s", strings.TrimPrefix(head, ">"))
	}
	widths := make([]int, len(t.Heads))
	for _, cells := range append([][]Cell{heads}, t.Rows...) {
		for i, cell := range cells {
			widths[i] = max(widths[i], cell.width())
		}
	}
	for _, cells := range append([][]Cell{heads}, t.Rows...) {
		p.row(t.Heads, cells, widths)
	}
}

func (p *Paper) row(heads []string, cells []Cell, widths []int) {
	var line strings.Builder
	for i, cell := range cells {
		padding := strings.Repeat(" ", widths[i]-cell.width())
		if strings.HasPrefix(heads[i], ">") {
			line.WriteString(padding + p.drawn(cell) + "  ")
			continue
		}
		line.WriteString(p.drawn(cell) + padding + "  ")
	}
	p.print(line.String())
}

func (p *Paper) drawn(cell Cell) string { return p.s.draw(cell, cell.width()) }

// Spark returns a small chart of heights from 0 to 1, one cell each.
func (p *Paper) Spark(heights []float64) string {
	steps := []rune(" ▁▂▃▄▅▆▇█")
	if p.s.ascii {
		steps = []rune(" .:-=+*#%")
	}
	var b strings.Builder
	for _, h := range heights {
		b.WriteRune(steps[int(min(max(h, 0), 1)*float64(len(steps)-1)+0.5)])
	}
	return p.s.paint(b.String(), moving)
}
