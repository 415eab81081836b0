package page

import (
	"fmt"
	"math"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// chart is figures over time. Its paths are in a box of boxWidth by boxHeight that is stretched to the page's width; text is beside the
// box, so that it is not stretched.
type chart struct {
	Name, Says, Note string // Says describes the chart to screen readers
	Lines            []line
	Area             string
	Ticks            []tick
	From, To         string
}

// line is a path through the box, with a name if there are several.
type line struct{ Class, Name, Path string }

// tick is a value on the vertical axis, and its height in percent.
type tick struct{ Label, Height string }

const boxWidth, boxHeight = 1000, 200

// dot is a value at an instant.
type dot struct {
	at    time.Time
	value float64
}

// charts returns those of a run: how fast it is, and how it uses the quotas.
func charts(v *view.View) []chart {
	return []chart{ratesOf(v.History, v.Phase == view.Ended), quotasOf(v)}
}

// fill draws one line with the area below it, and names the ends of its axes. It returns the box and the highest value.
func (c *chart) fill(dots []dot, unit string) (b box, top float64) {
	top = highest(dots)
	b = box{first: dots[0].at, last: dots[len(dots)-1].at, top: c.scale(top, unit)}
	c.Lines, c.Area = []line{{Class: "one", Path: b.path(dots)}}, b.area(dots)
	c.over(b)
	return b, top
}

func ratesOf(past []view.Point, over bool) chart {
	c := chart{Name: "Events per second", Note: "not enough data yet"}
	dots := rates(past)
	if len(dots) < 2 {
		return c
	}
	b, top := c.fill(dots, "")
	c.Note = "peak " + view.Number(int64(top))
	if !over {
		c.Note = view.Number(int64(dots[len(dots)-1].value)) + " now, " + c.Note
	}
	c.Says = "Events per second over " + short(b.last.Sub(b.first)) + ": " + c.Note
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
	var all [][]dot
	top := 100.0
	for i, q := range v.Quotas {
		dots := uses(v.History, i)
		if top = max(top, highest(dots)); len(dots) > 1 {
			c.Lines = append(c.Lines, line{Class: [...]string{"one", "two"}[i%2], Name: q.Endpoint})
			all = append(all, dots)
		}
	}
	if len(all) == 0 {
		return c
	}
	b := box{first: v.History[0].At, last: v.History[len(v.History)-1].At, top: c.scale(top, " %")}
	var says []string
	for i, dots := range all {
		c.Lines[i].Path = b.path(dots)
		says = append(says, fmt.Sprintf("%s %.0f %%", c.Lines[i].Name, dots[len(dots)-1].value))
	}
	c.over(b)
	c.Note = "of the requests allowed in a window: " + strings.Join(says, ", ") + " now"
	c.Says = "Use of the quotas over " + short(b.last.Sub(b.first)) + ", " + c.Note
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
	if len(dots) < 2 {
		return c
	}
	b, top := c.fill(dots, "")
	c.Note = view.Number(int64(top)) + " events in " + short(b.last.Sub(b.first))
	c.Says = "Events stored over time: " + c.Note
	return c
}

// lagOf draws how far the watermark was behind the clock: it grows with the time, and falls at the end of a round.
func lagOf(v *view.View) chart {
	c := chart{Name: "How far the table is behind", Note: "no round has ended yet"}
	lags := v.Lags()
	if len(lags) < 2 {
		return c
	}
	longest := 0.0
	for _, l := range lags {
		longest = max(longest, l.Seconds)
	}
	unit, seconds := unitOf(longest)
	dots := make([]dot, len(lags))
	for i, l := range lags {
		dots[i] = dot{l.At, l.Seconds / seconds}
	}
	b, _ := c.fill(dots, unit)
	inWords := func(seconds float64) string { return short(time.Duration(seconds * float64(time.Second))) }
	c.Note = fmt.Sprintf("%s now, peak %s", inWords(lags[len(lags)-1].Seconds), inWords(longest))
	c.Says = "The watermark's lag over " + short(b.last.Sub(b.first)) + ": " + c.Note
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

// over names the ends of the time axis.
func (c *chart) over(b box) {
	layout := "15:04:05"
	if b.last.Sub(b.first) > 20*time.Hour {
		layout = "01-02 15:04"
	}
	c.From, c.To = b.first.UTC().Format(layout), b.last.UTC().Format(layout)+" UTC"
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
