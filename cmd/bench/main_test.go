package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestParseFlagsRefuses(t *testing.T) {
	for _, args := range []string{"-events 0", "-repeat -1", "-shards 0", "-sections whole,x", "-shards 1,x", "more"} {
		if o, err := parseFlags(strings.Fields(args), &strings.Builder{}); err == nil {
			t.Errorf("%s: %+v", args, o)
		}
	}
}

func TestDefaultsFollowTheOtherFlags(t *testing.T) {
	for _, c := range []struct {
		args     string
		shards   []int
		repeat   int
		sections string
	}{
		{"-events 5000", []int{1, 2, 4, 8, 64}, 1, "whole latency quota"},
		{"-events 1 -sections quota,whole", []int{1, 2, 4, 8, 64}, 1, "whole quota"},
		{"-shards 8,9 -repeat 3", []int{8, 9}, 3, "whole latency quota"},
		{"-binary /old", []int{8}, 5, "binaries"},
	} {
		o, err := parseFlags(strings.Fields(c.args), &strings.Builder{})
		var names []string
		for _, s := range o.sections {
			names = append(names, s.name)
		}
		if err != nil || !slices.Equal(o.shards, c.shards) || o.repeat != c.repeat || strings.Join(names, " ") != c.sections {
			t.Errorf("%s: %+v, %v", c.args, o, err)
		}
	}
}

func TestHelpSaysWhatEachSectionCosts(t *testing.T) {
	var help strings.Builder
	if _, err := parseFlags([]string{"-help"}, &help); err == nil {
		t.Fatal("no error")
	}
	for _, s := range allSections() {
		if !strings.Contains(help.String(), s.name) || !strings.Contains(help.String(), s.cost) {
			t.Errorf("-help does not say that %s takes %s", s.name, s.cost)
		}
	}
}

// benchstat reads what the bench prints, and knows of which figures more is better.
func TestFiguresAreOfGosBenchmarkFormat(t *testing.T) {
	var out, log strings.Builder
	r := &rig{out: &out, log: func(format string, args ...any) { fmt.Fprintf(&log, format+"\n", args...) }}
	out.WriteString(units)
	r.print("Whole/shards=8", figure{256.4, thousandRows, 0, 0}, figure{0.7, "×floor", 0.75, 0}, figure{300, "peak-MiB", 0, 256})
	if want := "BenchmarkWhole/shards=8 1 256.4 krows/s 0.7 ×floor 300 peak-MiB\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("%s, want %s", out.String(), want)
	}
	if strings.Count(log.String(), "misses its goal") != 2 || !strings.Contains(log.String(), "0.7 ×floor, not from 0.75") {
		t.Errorf("the goals: %s", log.String())
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "benchstat", "-")
	cmd.Stdin = strings.NewReader(strings.Repeat(out.String(), 2))
	table, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(table), "krows/s") || !strings.Contains(string(table), "×floor") {
		t.Errorf("benchstat: %v\n%s", err, table)
	}
}
