package page

import (
	"fmt"
	"math"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// chart is figures over time. Its paths lie in a box of boxWidth by boxHeight that is stretched to the page's width; what is
// written stands beside the box, so that it is not stretched.
type chart struct {
	Name, Says, Note string // Says is the chart for those who do not see it
	Lines            []line
	Area             string
	Ticks            []tick
	From, To         string
}

// line is a way through the box; of lines that mean different things each has a name.
type line struct{ Class, Name, Path string }

// tick is a value on the upright axis, and its height in percent.
type tick struct{ Label, Height string }

const boxWidth, boxHeight = 1000, 200

// dot is a value at an instant.
type dot struct {
	at    time.Time
	value float64
}

// charts are those of a run: how fast it is, and how it uses what the API allows.
func charts(v *view.View) []chart {
	return []chart{ratesOf(v.History, v.Phase == view.Ended), quotasOf(v)}
}

func ratesOf(past []view.Point, over bool) chart {
	c := chart{Name: "Events a second", Note: "not enough was seen yet"}
	dots := rates(past)
	if len(dots) < 2 {
		return c
	}
	most := highest(dots)
	b := box{first: dots[0].at, last: dots[len(dots)-1].at, top: c.scale(most, "")}
	c.Lines = []line{{Class: "one", Path: b.path(dots)}}
	c.Area = b.area(dots)
	c.over(b)
	c.Note = fmt.Sprintf("%s at most", view.Number(int64(most)))
	if !over {
		c.Note = view.Number(int64(dots[len(dots)-1].value)) + " now, " + c.Note
	}
	c.Says = "Events a second over " + short(b.last.Sub(b.first)) + ": " + c.Note
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
		if d := past[i].At.Sub(past[j].At); d > min(look, span)/3 { // a shorter piece says more of the clock than of the run
			dots = append(dots, dot{past[i].At, max(0, float64(past[i].Stored-past[j].Stored)/d.Seconds())})
		}
	}
	return dots
}

// quotasOf draws the requests in each quota's window as a share of what was allowed at the time.
func quotasOf(v *view.View) chart {
	c := chart{Name: "Use of the quotas", Note: "no limit is known yet"}
	var ways [][]dot
	most := 100.0
	for i, q := range v.Quotas {
		dots := uses(v.History, i)
		if most = max(most, highest(dots)); len(dots) > 1 {
			c.Lines = append(c.Lines, line{Class: [...]string{"one", "two"}[i%2], Name: q.Endpoint})
			ways = append(ways, dots)
		}
	}
	if len(ways) == 0 {
		return c
	}
	b := box{first: v.History[0].At, last: v.History[len(v.History)-1].At, top: c.scale(most, " %")}
	var says []string
	for i, dots := range ways {
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
	most := highest(dots)
	b := box{first: dots[0].at, last: dots[len(dots)-1].at, top: c.scale(most, "")}
	c.Lines, c.Area = []line{{Class: "one", Path: b.path(dots)}}, b.area(dots)
	c.over(b)
	c.Note = view.Number(int64(most)) + " events in " + short(b.last.Sub(b.first))
	c.Says = "Events stored over time: " + c.Note
	return c
}

func highest(dots []dot) (most float64) {
	for _, d := range dots {
		most = max(most, d.value)
	}
	return most
}

// over names the ends of the time.
func (c *chart) over(b box) {
	layout := "15:04:05"
	if b.last.Sub(b.first) > 20*time.Hour {
		layout = "01-02 15:04"
	}
	c.From, c.To = b.first.UTC().Format(layout), b.last.UTC().Format(layout)+" UTC"
}

// scale sets round ticks up to the first that is not less than most, and returns it.
func (c *chart) scale(most float64, unit string) (top float64) {
	most = max(most, 1)
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, part := range []float64{0.2, 0.25, 0.5, 1} {
		if most <= 4.2*part*step {
			step *= part
			break
		}
	}
	if most > 4.2*step {
		step *= 2.5
	}
	top = step * math.Ceil(most/step)
	for at := 0.0; at <= top+step/2; at += step {
		c.Ticks = append(c.Ticks, tick{brief(at) + unit, share(at / top)})
	}
	return top
}

// brief writes a round number shortly: 250, 7.5k, 1.2M.
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

// mostDots is how many dots of a line are drawn: a page is not wider.
const mostDots = 300

func (b box) path(dots []dot) string {
	var d strings.Builder
	every := (len(dots) + mostDots - 1) / mostDots
	for i, p := range dots {
		if i%every != 0 && i != len(dots)-1 {
			continue
		}
		x, y := b.place(p)
		fmt.Fprintf(&d, "%c%.0f,%.0f", "ML"[min(i, 1)], x, y)
	}
	return d.String()
}

// area is what lies under a path.
func (b box) area(dots []dot) string {
	from, _ := b.place(dots[0])
	to, _ := b.place(dots[len(dots)-1])
	return fmt.Sprintf("%sL%.0f,%dL%.0f,%dZ", b.path(dots), to, boxHeight, from, boxHeight)
}

func (b box) place(p dot) (x, y float64) {
	span := max(b.last.Sub(b.first).Seconds(), 0.001)
	return boxWidth * p.at.Sub(b.first).Seconds() / span, boxHeight * (1 - p.value/b.top)
}
