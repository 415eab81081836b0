package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// partsPattern picks the benchmarks of the steps that a row or a request passes.
const partsPattern = `^Benchmark(Decode|Encode|Commit.*|Plan|Pacer|Quota)$`

// measureParts runs the Go benchmarks. The server of those of the sink has fsync off: they are for comparing from run to run.
func measureParts(ctx context.Context, s *stand) ([]Figure, error) {
	s.say("the parts: go test -bench")
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", partsPattern, "-benchmem", "-benchtime", s.benchtime, "./fetch", "./fetch/decode", "./fetch/quota", "./sink", "./coordinator")
	cmd.Dir = s.root
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s%s", err, tail(out.String(), 20), tail(said.String(), 20))
	}
	figures, err := readParts(&out)
	return besideWritePath(figures), err
}

// The write paths that are compared: Sluice's, the old system's, and staging for every batch, each with two writers.
const (
	writePath       = "commit two writers"
	oldWritePath    = "commit two writers values"
	stagedWritePath = "commit two writers staged"
)

// oldWriteGoal is how many times the time of Sluice the old system's write path takes at least.
const oldWriteGoal = 2

// besideWritePath sets the other ways to write beside Sluice's: times, so that 2 is twice as slow.
func besideWritePath(figures []Figure) []Figure {
	ours := slices.IndexFunc(figures, func(f Figure) bool { return f.Name == writePath && f.Unit == nanosARow })
	if ours < 0 {
		return figures
	}
	for i, f := range figures {
		if f.Unit != nanosARow || f.Name != oldWritePath && f.Name != stagedWritePath {
			continue
		}
		figures[i] = f.beside(writePath, Sample{f.Value / figures[ours].Value})
		if f.Name == oldWritePath {
			figures[i] = figures[i].atLeast(oldWriteGoal)
		}
	}
	return figures
}

const nanosARow = "ns/row"

// readParts turns the output of go test into figures.
func readParts(r io.Reader) ([]Figure, error) {
	reader := benchfmt.NewReader(r, "go test")
	var figures []Figure
	for reader.Scan() {
		switch record := reader.Result().(type) {
		case *benchfmt.Result:
			figures = append(figures, partFigures(record)...)
		case *benchfmt.SyntaxError:
			return nil, record
		}
	}
	if len(figures) == 0 {
		return nil, errors.Join(reader.Err(), errors.New("go test has measured nothing"))
	}
	return figures, reader.Err()
}

// partFigures are time and allocations, of a row where the benchmark counts rows and of an operation elsewhere.
func partFigures(r *benchfmt.Result) []Figure {
	name, per, of := partName(r.Name), rowsPerOp(r), "row"
	if per == 0 {
		per, of = 1, "op"
	}
	var figures []Figure
	if seconds, ok := r.Value("sec/op"); ok {
		figures = append(figures, Sample{seconds * 1e9 / per}.figure(name, "ns/"+of))
	}
	if allocs, ok := r.Value("allocs/op"); ok {
		figures = append(figures, Sample{allocs / per}.figure(name+": allocations", "/"+of))
	}
	return figures
}

// rowsPerOp follows from the time of an operation and what the benchmark says of a row; 0 if it says nothing.
func rowsPerOp(r *benchfmt.Result) float64 {
	seconds, _ := r.Value("sec/op")
	if rate, ok := r.Value("rows/s"); ok {
		return rate * seconds
	}
	if one, ok := r.Value("sec/event"); ok && one > 0 { // benchfmt turns ns into sec
		return seconds / one
	}
	return 0
}

// partName is a benchmark's name as people would say it: CommitTwoWriters-2 is commit two writers.
func partName(name benchfmt.Name) string {
	base, parts := name.Parts()
	var b strings.Builder
	for i, r := range string(base) {
		if r >= 'A' && r <= 'Z' && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	for _, part := range parts {
		if part[0] == '/' {
			b.WriteString(", " + strings.Replace(string(part[1:]), "=", " ", 1))
		}
	}
	return strings.ToLower(b.String())
}
