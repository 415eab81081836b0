package main

import (
	"bytes"
	"fmt"
	"html/template"
	"math"
	"slices"
)

// The panels of the plot.
const (
	machinePanel = "machine"
	latencyPanel = "latency"
	quotaPanel   = "quota"
)

// panel is one diagram: what its figures are compared by, over the number of shards.
type panel struct {
	name, Title, Unit string
	ticks             []float64
	doubling          bool // the vertical axis doubles from tick to tick
	max               float64
	Ideal             string // what the dashed line is: y = x where the axis doubles, y = 1 elsewhere
}

var panels = []panel{
	{machinePanel, "No limits: the machine", "share of the floor (server-side COPY)", []float64{0, 0.25, 0.5, 0.75, 1}, false, 1.1, "floor"},
	{latencyPanel, "Slow pages: the wait", "times as fast as one shard", []float64{1, 2, 4, 8, 16, 32}, true, 32, "perfect"},
	{quotaPanel, "The true limits: the quotas", "share of the allowed requests used", []float64{0, 0.25, 0.5, 0.75, 1}, false, 1.1, "all"},
}

// shardTicks are the ticks of the horizontal axis.
var shardTicks = []float64{1, 2, 4, 8, 16, 32, 64}

// spot is a place in the picture, and what it stands for.
type spot struct {
	X, Y  float64
	Label string
}

// curve is a line of a panel.
type curve struct {
	Name   string
	Class  string // its colour
	Legend int    // the height of its legend
	Spots  []spot
}

// The place of a panel's axes, in the picture's units. The template has the same numbers.
const marginLeft, marginTop, plotWide, plotHigh = 48.0, 48.0, 250.0, 190.0

// place returns where a point of the panel is in the picture.
func (p *panel) place(x, y float64, label string) spot {
	high := y / p.max
	if p.doubling {
		high = math.Log2(max(y, 1)) / math.Log2(p.max)
	}
	wide := math.Log2(max(x, 1)) / math.Log2(shardTicks[len(shardTicks)-1])
	round := func(v float64) float64 { return math.Round(v*10) / 10 }
	return spot{round(marginLeft + plotWide*wide), round(marginTop + plotHigh*(1-min(high, 1.05))), label}
}

// Grid returns the ticks of both axes.
func (p *panel) Grid() (axes struct{ Across, Up []spot }) {
	for _, x := range shardTicks {
		axes.Across = append(axes.Across, p.place(x, 0, fmt.Sprint(x)))
	}
	for _, y := range p.ticks {
		axes.Up = append(axes.Up, p.place(1, y, fmt.Sprint(y)))
	}
	return axes
}

// Perfect returns the ends of the line of a perfect program.
func (p *panel) Perfect() []spot {
	if p.doubling {
		return []spot{p.place(1, 1, ""), p.place(p.max, p.max, "")}
	}
	return []spot{p.place(1, 1, ""), p.place(shardTicks[len(shardTicks)-1], 1, "")}
}

// curves of a panel, in the order of the figures.
func (r *Report) curves(p *panel) []curve {
	var all []curve
	for i := range r.Figures {
		f := &r.Figures[i]
		if f.Point == nil || f.Point.Panel != p.name {
			continue
		}
		at := slices.IndexFunc(all, func(c curve) bool { return c.Name == f.Point.Curve })
		if at < 0 {
			at = len(all)
			all = append(all, curve{Name: f.Point.Curve, Class: fmt.Sprint("c", at%2), Legend: 290 + 16*at})
		}
		label := fmt.Sprintf("%s, %d shards: %s", f.Point.Curve, f.Point.X, short(f.compared()))
		all[at].Spots = append(all[at].Spots, p.place(float64(f.Point.X), f.compared(), label))
	}
	return all
}

// plot draws the scaling curves from the figures alone.
func (r *Report) plot() []byte {
	type drawing struct {
		*panel
		Left   int
		Curves []curve
	}
	var all []drawing
	for i := range panels {
		all = append(all, drawing{&panels[i], i * 320, r.curves(&panels[i])})
	}
	var b bytes.Buffer
	if err := picture.Execute(&b, all); err != nil {
		panic(err) // the template does not fit the types above
	}
	return b.Bytes()
}

// The colours are visible on white and on black: a picture in a page does not know its background.
var picture = template.Must(template.New("plot").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 330" role="img" aria-label="How Sluice scales with shards">
<style>
  text { font: 11px system-ui, sans-serif; fill: #6e7781 }
  .title { font-size: 13px; font-weight: 600 } .x { text-anchor: middle } .y { text-anchor: end }
  .grid { stroke: #8b949e; stroke-opacity: .3 } .ideal { stroke: #8b949e; stroke-dasharray: 4 4; fill: none }
  .c0 { stroke: #2f81f7; color: #2f81f7 } .c1 { stroke: #d4691a; color: #d4691a }
  .line { fill: none; stroke-width: 2 } .dot { fill: currentColor }
</style>
{{define "points"}}points="{{range .}}{{.X}},{{.Y}} {{end}}"{{end -}}
{{range .}}<g transform="translate({{.Left}} 0)">
<text x="48" y="20" class="title">{{.Title}}</text>
<text x="48" y="36">{{.Unit}}</text>
{{with .Grid}}{{range .Across}}<path class="grid" d="M{{.X}} 48v190"/><text x="{{.X}}" y="253" class="x">{{.Label}}</text>
{{end}}{{range .Up}}<path class="grid" d="M48 {{.Y}}h250"/><text x="42" y="{{.Y}}" dy="4" class="y">{{.Label}}</text>
{{end}}{{end}}<text x="173" y="270" class="x">shards</text>
<polyline class="ideal" {{template "points" .Perfect}}/>
<path class="ideal" d="M198 286h20"/><text x="224" y="290">{{.Ideal}}</text>
{{range .Curves}}{{$class := .Class}}<polyline class="line {{.Class}}" {{template "points" .Spots}}/>
{{range .Spots}}<circle class="dot {{$class}}" cx="{{.X}}" cy="{{.Y}}" r="3"><title>{{.Label}}</title></circle>
{{end}}<path class="line {{.Class}}" d="M48 {{.Legend}}m0-4h20"/><text x="74" y="{{.Legend}}">{{.Name}}</text>
{{end}}</g>
{{end}}</svg>
`))
