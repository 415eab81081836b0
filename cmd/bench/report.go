package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Figure is one line of the table.
type Figure struct {
	Section string  `json:"section"`
	Name    string  `json:"name"`
	Value   float64 `json:"value"` // the median of all passes
	Unit    string  `json:"unit"`
	Spread  float64 `json:"spread,omitempty"` // most less least, as a share of the median; 0 if measured once
	Ratio   float64 `json:"ratio,omitempty"`  // to what it stands beside
	Beside  string  `json:"beside,omitempty"`
	Goal    *Goal   `json:"goal,omitempty"`
	Point   *Point  `json:"point,omitempty"` // of the plot; nil if it is not in it
}

// Point is where a figure stands in the plot; its height is what the figure is compared by.
type Point struct {
	Panel string `json:"panel"`
	Curve string `json:"curve"`
	X     int    `json:"x"`
}

// Goal is a bound on the ratio if the figure has one, and on the value otherwise.
type Goal struct {
	Least float64 `json:"least,omitempty"` // 0 means no lower bound
	Most  float64 `json:"most,omitempty"`  // 0 means no upper bound
}

func figure(name, unit string, value float64) Figure {
	return Figure{Name: name, Unit: unit, Value: value}
}

// beside sets the figure against something that was measured in the same minutes.
func (f Figure) beside(what string, ratio float64) Figure {
	f.Beside, f.Ratio = what, ratio
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

// compared is what a figure is judged by, and compared by from run to run: its ratio if it has one.
func (f *Figure) compared() float64 {
	if f.Beside != "" {
		return f.Ratio
	}
	return f.Value
}

// met reports whether the goal is reached. A figure without a goal always reaches it.
func (f *Figure) met() bool {
	g := f.Goal
	return g == nil || f.compared() >= g.Least && (g.Most == 0 || f.compared() <= g.Most)
}

// medians makes one figure of those of all passes that measure the same, in the order of the first pass.
func medians(all []Figure) []Figure {
	type identity struct{ section, name, unit, beside string }
	var order []identity
	passes := map[identity][]Figure{}
	for _, f := range all {
		same := identity{f.Section, f.Name, f.Unit, f.Beside}
		if passes[same] == nil {
			order = append(order, same)
		}
		passes[same] = append(passes[same], f)
	}
	figures := make([]Figure, len(order))
	for i, same := range order {
		var values, ratios []float64
		for _, f := range passes[same] {
			values, ratios = append(values, f.Value), append(ratios, f.Ratio)
		}
		f := passes[same][0]
		f.Value, f.Ratio = median(values), median(ratios)
		if f.Value != 0 {
			f.Spread = (slices.Max(values) - slices.Min(values)) / f.Value
		}
		figures[i] = f
	}
	return figures
}

// median is the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	sorted, n := slices.Sorted(slices.Values(values)), len(values)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Machine is what was measured on. It names no host.
type Machine struct {
	Cores      int    `json:"cores"`
	CPU        string `json:"cpu,omitempty"`
	System     string `json:"system"`
	Go         string `json:"go"`
	PostgreSQL string `json:"postgresql"`
	Revision   string `json:"revision,omitempty"`
	Date       string `json:"date"`
}

func (r *rig) machine(ctx context.Context) Machine {
	m := Machine{
		Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		PostgreSQL: r.server.Status(ctx).Version, Date: time.Now().UTC().Format(time.DateOnly),
	}
	git := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty")
	git.Dir = r.root
	if out, err := git.Output(); err == nil { // otherwise the checkout is not under git
		m.Revision = strings.TrimSpace(string(out))
	}
	text, _ := os.ReadFile("/proc/cpuinfo") // only Linux has one
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
		}
	}
	return m
}

// same reports whether seconds of both can be compared.
func (m Machine) same(n Machine) bool {
	return m.Cores == n.Cores && m.CPU == n.CPU && m.System == n.System
}

func (m Machine) String() string {
	cpu := m.CPU
	if cpu != "" {
		cpu = " (" + cpu + ")"
	}
	return fmt.Sprintf("%d cores%s, %s, %s, PostgreSQL %s with fsync and the settings of the private server; %s, %s",
		m.Cores, cpu, m.System, m.Go, m.PostgreSQL, m.Date, m.Revision)
}

// Report is what a bench found, and on what.
type Report struct {
	Machine Machine  `json:"machine"`
	Events  int64    `json:"events"`
	Repeat  int      `json:"repeat"`
	Figures []Figure `json:"figures"`
}

// The files of the last report.
const (
	latestJSON     = "latest.json"
	latestMarkdown = "latest.md"
	latestPlot     = "latest.svg"
)

// publish prints the table, compared with that of the last report in dir, and may replace it. With an empty dir nothing is
// compared or kept.
func (r *Report) publish(dir string, keep bool, stdout io.Writer) error {
	last, err := readReport(dir)
	if err != nil {
		return err
	}
	table := r.markdown(last)
	if _, err := io.WriteString(stdout, table); err != nil || dir == "" || !keep {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return cmp.Or(
		os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, latestJSON), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, latestMarkdown), []byte(table), 0o644),
		os.WriteFile(filepath.Join(dir, latestPlot), r.plot(), 0o644))
}

// readReport reads the last report; nil if there is none.
func readReport(dir string) (*Report, error) {
	if dir == "" {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(dir, latestJSON))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	r := &Report{}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		return nil, fmt.Errorf("read the last report: %w", err)
	}
	return r, nil
}

// find returns the same figure of another report; nil if it has none, or none that can be compared: values need the same machine
// and the same data, ratios only the data. Latency and quota do not depend on -events.
func (r *Report) find(like *Figure, of *Report) *Figure {
	sameData := r != nil && (r.Events == of.Events || like.Section == "latency" || like.Section == "quota")
	if !sameData || like.Beside == "" && !r.Machine.same(of.Machine) {
		return nil
	}
	i := slices.IndexFunc(r.Figures, func(f Figure) bool {
		return f.Section == like.Section && f.Name == like.Name && f.Unit == like.Unit && f.Beside == like.Beside
	})
	if i < 0 {
		return nil
	}
	return &r.Figures[i]
}

// markdown is the report as one table, with what it was measured on.
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
	return fmt.Sprintf("%s\n%s events; medians of %d; a ratio is to what was measured beside it in the same minutes; "+
		"the floor is server-side COPY of the same rows into the same table\n\n%s", r.Machine, grouped(float64(r.Events)), r.Repeat, align(rows))
}

// cells is a line of the table.
func (f *Figure) cells(last *Figure) []string {
	ratio, goal, met, before, spread := "", "", "", "", ""
	if f.Beside != "" {
		ratio = fmt.Sprintf("%.2f × %s", f.Ratio, f.Beside)
	}
	if f.Goal != nil {
		goal, met = f.Goal.String(), map[bool]string{true: "reached", false: "**missed**"}[f.met()]
	}
	if last != nil && last.compared() != 0 && last.compared() != f.compared() {
		before = fmt.Sprintf("%s (%+.0f %%)", short(last.compared()), (f.compared()/last.compared()-1)*100)
	}
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

// short is a number with three digits, or with all that stand before the point.
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

// align is a Markdown table that reads well as plain text too. The first row is its head.
func align(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	line := func(cells []string) { fmt.Fprintf(w, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	line(rows[0])
	line([]string{"---", "--:", "---", "--:", "---", "---", "---", "---"}) // numbers to the right
	for _, row := range rows[1:] {
		line(row)
	}
	_ = w.Flush() // a Builder returns no error
	return b.String()
}
