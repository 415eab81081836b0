package main

import "slices"

// Figure is one line of the table.
type Figure struct {
	Section string  `json:"section"`
	Name    string  `json:"name"`
	Value   float64 `json:"value"` // the median
	Unit    string  `json:"unit"`
	Spread  float64 `json:"spread,omitempty"` // most less least, as a share of the median; 0: measured once
	Ratio   float64 `json:"ratio,omitempty"`  // to what it stands beside
	Beside  string  `json:"beside,omitempty"`
	Goal    *Goal   `json:"goal,omitempty"`
	Point   *Point  `json:"point,omitempty"` // of the plot, where it is one
}

// Point is where a figure stands in the plot: Y is what it is compared by.
type Point struct {
	Panel string `json:"panel"`
	Curve string `json:"curve"`
	X     int    `json:"x"`
}

// Goal is a bound on the ratio where there is one, and on the value elsewhere.
type Goal struct {
	Least float64 `json:"least,omitempty"` // 0: no lower bound
	Most  float64 `json:"most,omitempty"`  // 0: no upper bound
}

// compared is what a figure is judged by, and compared by from run to run: ratios, where there are any.
func (f *Figure) compared() float64 {
	if f.Beside != "" {
		return f.Ratio
	}
	return f.Value
}

// met tells whether the goal is reached. No goal is always reached.
func (f *Figure) met() bool {
	g := f.Goal
	return g == nil || f.compared() >= g.Least && (g.Most == 0 || f.compared() <= g.Most)
}

// Sample is what repeated measurements of the same thing came to.
type Sample []float64

// median is the middle one, or the mean of the two in the middle; 0 of none.
func (s Sample) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// spread is most less least, as a share of the median.
func (s Sample) spread() float64 {
	if s.median() == 0 {
		return 0
	}
	return (slices.Max(s) - slices.Min(s)) / s.median()
}

// figure is the median and the spread of s.
func (s Sample) figure(name, unit string) Figure {
	return Figure{Name: name, Unit: unit, Value: s.median(), Spread: s.spread()}
}

// beside sets the figure against something else. The ratios are taken pair by pair, each of the same minute.
func (f Figure) beside(what string, ratios Sample) Figure {
	f.Beside, f.Ratio = what, ratios.median()
	return f
}

func (f Figure) atLeast(bound float64) Figure {
	f.Goal = &Goal{Least: bound}
	return f
}

func (f Figure) atMost(bound float64) Figure {
	f.Goal = &Goal{Most: bound}
	return f
}

// at puts the figure into the plot.
func (f Figure) at(panel, curve string, x int) Figure {
	f.Point = &Point{Panel: panel, Curve: curve, X: x}
	return f
}
