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
}

// The files of the last report.
const (
	latestJSON     = "latest.json"
	latestMarkdown = "latest.md"
	latestPlot     = "latest.svg"
)

// publish prints the table, compared with that of the last report in dir, and may keep it there instead. Where dir is empty
// nothing is compared or kept.
func publish(r *Report, dir string, keep bool, stdout io.Writer) error {
	last, err := readReport(dir)
	if err != nil {
		return err
	}
	table := r.markdown(last)
	if _, err := io.WriteString(stdout, table); err != nil || dir == "" || !keep {
		return err
	}
	return r.write(dir, table)
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
