package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Report is what a bench found, and on what.
type Report struct {
	Machine Machine  `json:"machine"`
	Events  int64    `json:"events"`
	Repeat  int      `json:"repeat"`
	Passes  int      `json:"passes,omitempty"`
	Figures []Figure `json:"figures"`
	Later   []Later  `json:"later,omitempty"` // sections that were measured anew since
}

// Later is when a section was measured that is not of the report's own run.
type Later struct {
	Section  string `json:"section"`
	Date     string `json:"date"`
	Revision string `json:"revision,omitempty"`
	Passes   int    `json:"passes"`
}

// keeping is what becomes of a report.
type keeping int

const (
	keepNothing  keeping = iota
	keepAll              // it is the last one from now on
	keepSections         // what it has of sections is put into the last one
)

// The files of the last report.
const (
	latestJSON     = "latest.json"
	latestMarkdown = "latest.md"
	latestPlot     = "latest.svg"
)

// publish prints the table, compared with that of the last report in dir, and may keep it there. Where dir is empty nothing is
// compared or kept.
func publish(r *Report, dir string, keep keeping, stdout io.Writer) error {
	last, err := readReport(dir)
	if err != nil {
		return err
	}
	table := r.markdown(last)
	if _, err := io.WriteString(stdout, table); err != nil || dir == "" || keep == keepNothing {
		return err
	}
	if keep == keepSections && last != nil {
		if r, err = last.with(r); err != nil {
			return err
		}
		table = r.markdown(last)
	}
	return r.write(dir, table)
}

// with returns the report with the sections of a newer one in the place of its own.
func (r *Report) with(newer *Report) (*Report, error) {
	if !r.Machine.same(newer.Machine) || r.Events != newer.Events {
		return nil, fmt.Errorf("keep sections in the last report: it is of %d cores (%s) and %d events, and they are not",
			r.Machine.Cores, r.Machine.CPU, r.Events)
	}
	merged := *r
	merged.Figures, merged.Later = nil, nil
	for _, section := range allSections() {
		later := slices.DeleteFunc(slices.Clone(r.Later), func(l Later) bool { return l.Section != section.name })
		figures := newer.section(section.name)
		if len(figures) > 0 {
			later = []Later{{section.name, newer.Machine.Date, newer.Machine.Revision, newer.Passes}}
		} else {
			figures = r.section(section.name)
		}
		merged.Figures, merged.Later = append(merged.Figures, figures...), append(merged.Later, later...)
	}
	return &merged, nil
}

func (r *Report) section(name string) []Figure {
	return slices.DeleteFunc(slices.Clone(r.Figures), func(f Figure) bool { return f.Section != name })
}

func (r *Report) write(dir, table string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return cmp.Or(
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

// sameLoad are the sections that -events says nothing to.
var sameLoad = []string{"parts", "latency", "quota"}

// find returns the same figure of another report; nil if it has none, or none that compares: values need the same machine and
// the same data, ratios only the data.
func (r *Report) find(like *Figure, of *Report) *Figure {
	if r == nil || r.Events != of.Events && !slices.Contains(sameLoad, like.Section) || like.Beside == "" && !r.Machine.same(of.Machine) {
		return nil
	}
	for i := range r.Figures {
		f := &r.Figures[i]
		if f.Section == like.Section && f.Name == like.Name && f.Unit == like.Unit && f.Beside == like.Beside {
			return f
		}
	}
	return nil
}
