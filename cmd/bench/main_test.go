package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestParseFlagsRefuses(t *testing.T) {
	for _, args := range []string{"-events 0", "-repeat -1", "-shards 0", "-sections whole,x", "-sizes 0", "-sizes 1,x", "more"} {
		if o, err := parseFlags(strings.Fields(args), &strings.Builder{}); err == nil {
			t.Errorf("%s: %+v", args, o)
		}
	}
}

func TestDefaultsFollowTheOtherFlags(t *testing.T) {
	for _, c := range []struct {
		args          string
		sizes, shards []int64
		repeat        int
		sections      string
	}{
		{"-events 5000", []int64{500, 5000}, []int64{1, 2, 4, 8, 64}, 1, "whole latency quota size"},
		{"-events 1 -sections size,whole", []int64{1, 1}, []int64{1, 2, 4, 8, 64}, 1, "whole size"},
		{"-sizes 3,40 -shards 8 -repeat 3", []int64{3, 40}, []int64{8}, 3, "whole latency quota size"},
		{"-sizes 3 -binary /old", []int64{3}, []int64{8}, 5, "binaries"},
	} {
		o, err := parseFlags(strings.Fields(c.args), &strings.Builder{})
		var names []string
		for _, s := range o.sections {
			names = append(names, s.name)
		}
		if err != nil || !slices.Equal(o.sizes, c.sizes) || !slices.Equal(o.shards, c.shards) || o.repeat != c.repeat || strings.Join(names, " ") != c.sections {
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
