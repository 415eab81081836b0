package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The panels of the plot.
const (
	machinePanel = "machine"
	latencyPanel = "latency"
	quotaPanel   = "quota"
)

// panel is one diagram: what its figures are compared by, over the number of shards.
type panel struct {
	name, title, unit string
	doubling          bool // the vertical axis doubles from tick to tick
	max               float64
	ideal             string // what the dashed line is: y = x where the axis doubles, y = 1 elsewhere
}

var panels = []panel{
	{machinePanel, "No limits: the machine", "share of the floor (server-side COPY)", false, 1.1, "floor"},
	{latencyPanel, "Slow pages: the wait", "times as fast as one shard", true, 32, "perfect"},
	{quotaPanel, "The true limits: the quotas", "share of the allowed requests used", false, 1.1, "all"},
}

// curve is a line of a panel.
type curve struct {
	name   string
	points []spot
}

type spot struct{ x, y float64 }

// curves of a panel, in the order of the figures.
func (r *Report) curves(panel string) []curve {
	var all []curve
	for i := range r.Figures {
		f := &r.Figures[i]
		if f.Point == nil || f.Point.Panel != panel {
			continue
		}
		at := slices.IndexFunc(all, func(c curve) bool { return c.name == f.Point.Curve })
		if at < 0 {
			at, all = len(all), append(all, curve{name: f.Point.Curve})
		}
		all[at].points = append(all[at].points, spot{float64(f.Point.X), f.compared()})
	}
	return all
}

// The dimensions of the picture in its own units. The axes reach to 64 shards.
const (
	panelWide, panelHigh          = 320.0, 330.0
	marginLeft, marginTop         = 48.0, 48.0
	plotWide, plotHigh            = 250.0, 190.0
	legendTop, legendStep         = 290.0, 16.0
	maxShards             float64 = 64
)

// plotStyle has colours that are visible on white and on black: a picture in a page does not know its background.
const plotStyle = `
  text { font: 11px system-ui, sans-serif; fill: #6e7781 }
  .title { font-size: 13px; font-weight: 600 }
  .grid { stroke: #8b949e; stroke-opacity: .3 } .ideal { stroke: #8b949e; stroke-dasharray: 4 4; fill: none }
  .c0 { stroke: #2f81f7; color: #2f81f7 } .c1 { stroke: #d4691a; color: #d4691a }
  .line { fill: none; stroke-width: 2 } .dot { fill: currentColor }`

// plot draws the scaling curves from the figures alone.
func (r *Report) plot() []byte {
	var b bytes.Buffer
	wide := panelWide * float64(len(panels))
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" role=\"img\" aria-label=%q>\n",
		wide, panelHigh, "How Sluice scales with shards")
	fmt.Fprintf(&b, "<style>%s\n</style>\n", plotStyle)
	for i, p := range panels {
		fmt.Fprintf(&b, "<g transform=\"translate(%g 0)\">\n", float64(i)*panelWide)
		p.draw(&b, r.curves(p.name))
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// place converts a point to the picture's units.
func (p *panel) place(at spot) spot {
	y := at.y / p.max
	if p.doubling {
		y = math.Log2(max(at.y, 1)) / math.Log2(p.max)
	}
	return spot{marginLeft + plotWide*math.Log2(max(at.x, 1))/math.Log2(maxShards), marginTop + plotHigh*(1-min(y, 1.05))}
}

func (p *panel) draw(b *bytes.Buffer, curves []curve) {
	text(b, marginLeft, 20, "start", "title", p.title)
	text(b, marginLeft, 36, "start", "", p.unit)
	p.drawAxes(b)
	line(b, "ideal", p.idealPoints())
	for i, c := range curves {
		p.drawCurve(b, fmt.Sprintf("c%d", i%2), c)
		y := legendTop + legendStep*float64(i)
		fmt.Fprintf(b, "<path class=\"line c%d\" d=\"M%g %gh20\"/>", i%2, marginLeft, y-4)
		text(b, marginLeft+26, y, "start", "", c.name)
	}
	fmt.Fprintf(b, "<path class=\"ideal\" d=\"M%g %gh20\"/>", marginLeft+150, legendTop-4)
	text(b, marginLeft+176, legendTop, "start", "", p.ideal)
}

// drawAxes draws a grid with its numbers.
func (p *panel) drawAxes(b *bytes.Buffer) {
	for x := 1.0; x <= maxShards; x *= 2 {
		at := p.place(spot{x, 0})
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M%.1f %gv%g\"/>", at.x, marginTop, plotHigh)
		text(b, at.x, marginTop+plotHigh+15, "middle", "", fmt.Sprint(x))
	}
	for _, y := range p.ticks() {
		at := p.place(spot{1, y})
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M%g %.1fh%g\"/>", marginLeft, at.y, plotWide)
		text(b, marginLeft-6, at.y+4, "end", "", fmt.Sprint(y))
	}
	text(b, marginLeft+plotWide/2, marginTop+plotHigh+32, "middle", "", "shards")
}

func (p *panel) ticks() []float64 {
	if !p.doubling {
		return []float64{0, 0.25, 0.5, 0.75, 1}
	}
	var all []float64
	for y := 1.0; y <= p.max; y *= 2 {
		all = append(all, y)
	}
	return all
}

// idealPoints are those of a perfect program.
func (p *panel) idealPoints() []spot {
	if p.doubling {
		return []spot{p.place(spot{1, 1}), p.place(spot{p.max, p.max})}
	}
	return []spot{p.place(spot{1, 1}), p.place(spot{maxShards, 1})}
}

func (p *panel) drawCurve(b *bytes.Buffer, class string, c curve) {
	placed := make([]spot, len(c.points))
	for i, at := range c.points {
		placed[i] = p.place(at)
	}
	line(b, "line "+class, placed)
	for i, at := range placed {
		fmt.Fprintf(b, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%s, %g shards: %s</title></circle>",
			class, at.x, at.y, escaped(c.name), c.points[i].x, short(c.points[i].y))
	}
	b.WriteByte('\n')
}

func line(b *bytes.Buffer, class string, points []spot) {
	fmt.Fprintf(b, "<polyline class=%q points=\"", class)
	for _, at := range points {
		fmt.Fprintf(b, "%.1f,%.1f ", at.x, at.y)
	}
	b.WriteString("\"/>\n")
}

func text(b *bytes.Buffer, x, y float64, anchor, class, words string) {
	fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=%q class=%q>%s</text>\n", x, y, anchor, class, escaped(words))
}

func escaped(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
