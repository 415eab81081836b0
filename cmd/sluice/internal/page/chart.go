package page

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// chart is figures over time. Its paths are in a box of boxWidth by boxHeight that is stretched to the page's width; text is beside the
// box, so that it is not stretched.
type chart struct {
	Name, Note     string
	Lines          []line
	Area           string
	Ticks          []tick
	From, To, Span string // the ends of the time axis, and its length
}

// Says describes the chart to screen readers.
func (c chart) Says() string { return c.Name + ", over " + c.Span + ": " + c.Note }

// line is a path through the box, with a name if there are several. All but the first are dashed, each with longer gaps.
type line struct {
	Name, Path string
	Gap        int
}

// tick is a value on the vertical axis, and its height in percent.
type tick struct{ Label, Height string }

const boxWidth, boxHeight = 1000, 200

// dot is a value at an instant.
type dot struct {
	at    time.Time
	value float64
}

// series is the dots of a line.
type series struct {
	name string
	dots []dot
}

// draw draws lines over axes that begin at zero and reach the highest value, or least. One without a name has the area below it. It
// reports whether there is anything to draw: a line has two dots at least.
func (c *chart) draw(least float64, unit string, all ...series) bool {
	all = slices.DeleteFunc(all, func(s series) bool { return len(s.dots) < 2 })
	if len(all) == 0 {
		return false
	}
	b := box{first: all[0].dots[0].at, last: all[0].dots[len(all[0].dots)-1].at}
	for _, s := range all {
		least = max(least, highest(s.dots))
		if first := s.dots[0].at; first.Before(b.first) {
			b.first = first
		}
	}
	b.top = c.scale(least, unit)
	for i, s := range all {
		c.Lines = append(c.Lines, line{Name: s.name, Path: b.path(s.dots), Gap: 4 * i})
		if s.name == "" {
			c.Area = b.area(s.dots)
		}
	}
	layout := "15:04:05"
	if b.last.Sub(b.first) > 20*time.Hour {
		layout = "01-02 15:04"
	}
	c.From, c.To, c.Span = b.first.UTC().Format(layout), b.last.UTC().Format(layout)+" UTC", short(b.last.Sub(b.first))
	return true
}

func ratesOf(past []view.Point, over bool) chart {
	c := chart{Name: "Events per second", Note: "not enough data yet"}
	if dots := rates(past); c.draw(0, "", series{"", dots}) {
		c.Note = "peak " + view.Number(int64(highest(dots)))
		if !over {
			c.Note = view.Number(int64(dots[len(dots)-1].value)) + " now, " + c.Note
		}
	}
	return c
}

// rates returns how fast rows came in around each point: over the last 3 s, or a sixtieth of all, whichever is more.
func rates(past []view.Point) (dots []dot) {
	if len(past) < 3 {
		return nil
	}
	span := past[len(past)-1].At.Sub(past[0].At)
	look := max(3*time.Second, span/60)
	for i, j := 1, 0; i < len(past); i++ {
		for j < i-1 && past[i].At.Sub(past[j].At) > look {
			j++
		}
		if d := past[i].At.Sub(past[j].At); d > min(look, span)/3 { // shorter ones show the clock rather than the run
			dots = append(dots, dot{past[i].At, max(0, float64(past[i].Stored-past[j].Stored)/d.Seconds())})
		}
	}
	return dots
}

// quotasOf draws the requests in each quota's window as a share of its limit at the time.
func quotasOf(v *view.View) chart {
	c := chart{Name: "Use of the quotas", Note: "no limit is known yet"}
	var all []series
	var says []string
	for i, q := range v.Quotas {
		if dots := uses(v.History, i); len(dots) > 1 {
			all = append(all, series{q.Endpoint, dots})
			says = append(says, fmt.Sprintf("%s %.0f %%", q.Endpoint, dots[len(dots)-1].value))
		}
	}
	if c.draw(100, " %", all...) {
		c.Note = "of the requests allowed in a window: " + strings.Join(says, ", ") + " now"
	}
	return c
}

func uses(past []view.Point, i int) (dots []dot) {
	for _, p := range past {
		if i < len(p.Recent) && i < len(p.Allowed) && p.Allowed[i] > 0 {
			dots = append(dots, dot{p.At, 100 * float64(p.Recent[i]) / float64(p.Allowed[i])})
		}
	}
	return dots
}

// storedOf draws how the rows came in.
func storedOf(past []view.Point) chart {
	c := chart{Name: "Events stored", Note: "nothing was stored"}
	var dots []dot
	for _, p := range past {
		dots = append(dots, dot{p.At, float64(p.Stored)})
	}
	if c.draw(0, "", series{"", dots}) {
		c.Note = view.Number(int64(highest(dots))) + " events in " + c.Span
	}
	return c
}

// lagOf draws how far the watermark was behind the clock: it grows with the time, and falls at the end of a round.
func lagOf(v *view.View) chart {
	c := chart{Name: "How far the table is behind", Note: "no round has ended yet"}
	lags, longest := v.Lags(), 0.0
	for _, l := range lags {
		longest = max(longest, l.Seconds)
	}
	unit, seconds := unitOf(longest)
	dots := make([]dot, len(lags))
	for i, l := range lags {
		dots[i] = dot{l.At, l.Seconds / seconds}
	}
	if c.draw(0, unit, series{"", dots}) {
		inWords := func(seconds float64) string { return short(time.Duration(seconds * float64(time.Second))) }
		c.Note = fmt.Sprintf("%s now, peak %s", inWords(lags[len(lags)-1].Seconds), inWords(longest))
	}
	return c
}

// unitOf returns the unit in which a lag up to so many seconds is best read, and its length in seconds.
func unitOf(longest float64) (name string, seconds float64) {
	switch {
	case longest <= 180:
		return " s", 1
	case longest <= 3*3600:
		return " min", 60
	case longest <= 72*3600:
		return " h", 3600
	}
	return " d", 24 * 3600
}

func highest(dots []dot) (top float64) {
	for _, d := range dots {
		top = max(top, d.value)
	}
	return top
}

// scale sets round ticks up to the first that is not less than the highest value, and returns that one.
func (c *chart) scale(highest float64, unit string) (top float64) {
	highest = max(highest, 1)
	step := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, part := range []float64{0.2, 0.25, 0.5, 1} {
		if highest <= 4.2*part*step {
			step *= part
			break
		}
	}
	if highest > 4.2*step {
		step *= 2.5
	}
	top = step * math.Ceil(highest/step)
	for at := 0.0; at <= top+step/2; at += step {
		c.Ticks = append(c.Ticks, tick{brief(at) + unit, position(at / top)})
	}
	return top
}

// brief abbreviates a round number: 250, 7.5k, 1.2M.
func brief(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.3gM", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.3gk", n/1e3)
	case n == math.Trunc(n):
		return view.Number(int64(n))
	}
	return fmt.Sprintf("%.2g", n)
}

// box places dots.
type box struct {
	first, last time.Time
	top         float64
}

// maxDots is how many dots of a line are drawn: a page is not wider.
const maxDots = 300

func (b box) path(dots []dot) string {
	var d strings.Builder
	every := (len(dots) + maxDots - 1) / maxDots
	for i, p := range dots {
		if i%every != 0 && i != len(dots)-1 {
			continue
		}
		x, y := b.place(p)
		fmt.Fprintf(&d, "%c%.0f,%.0f", "ML"[min(i, 1)], x, y)
	}
	return d.String()
}

// area returns the area below a path.
func (b box) area(dots []dot) string {
	from, _ := b.place(dots[0])
	to, _ := b.place(dots[len(dots)-1])
	return fmt.Sprintf("%sL%.0f,%dL%.0f,%dZ", b.path(dots), to, boxHeight, from, boxHeight)
}

func (b box) place(p dot) (x, y float64) {
	span := max(b.last.Sub(b.first).Seconds(), 0.001)
	return boxWidth * p.at.Sub(b.first).Seconds() / span, boxHeight * (1 - p.value/b.top)
}
