package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func report(cores int, events int64, figures ...Figure) *Report {
	return &Report{Machine: Machine{Cores: cores, System: "linux/amd64"}, Events: events, Repeat: 1, Figures: figures}
}

func speed(ratio float64) Figure {
	f := figure("speed", thousandRows, 300).beside(theFloor, ratio).atLeast(0.5)
	f.Section = "whole"
	return f
}

func cpu(micros float64) Figure {
	f := figure("sluice", microsARow, micros)
	f.Section = "whole"
	return f
}

func TestFindComparesOnlyWhatCompares(t *testing.T) {
	ratio, value := speed(0.5), cpu(2)
	last := report(2, 1000, ratio, value)
	for _, c := range []struct {
		name          string
		of            *Report
		ratio, values bool
	}{
		{"same machine, same data", report(2, 1000), true, true},
		{"another machine", report(4, 1000), true, false},
		{"other data", report(2, 2000), false, false},
	} {
		if found := last.find(&ratio, c.of) != nil; found != c.ratio {
			t.Errorf("%s: ratio found: %v", c.name, found)
		}
		if found := last.find(&value, c.of) != nil; found != c.values {
			t.Errorf("%s: value found: %v", c.name, found)
		}
	}
	scaling := ratio
	scaling.Section = "latency"
	if report(2, 1000, scaling).find(&scaling, report(2, 2000)) == nil {
		t.Error("latency has loads of its own, and yet it was compared only with as many events")
	}
	var none *Report
	if none.find(&ratio, last) != nil {
		t.Error("found in no report")
	}
	renamed := ratio
	renamed.Name = "another"
	if last.find(&renamed, last) != nil {
		t.Error("found under another name")
	}
}

func TestPublishKeepsTheReportAndComparesTheNext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bench")
	var out bytes.Buffer
	if err := report(2, 1000, speed(0.4), cpu(4)).publish(dir, true, &out); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "**missed**") || strings.Contains(text, " %)") {
		t.Errorf("the first table:\n%s", text)
	}
	out.Reset()
	if err := report(2, 1000, speed(0.6), cpu(3)).publish(dir, true, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"reached", "0.60 × floor", "0.400 (+50 %)", "4.00 (-25 %)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the second table lacks %q:\n%s", want, out.String())
		}
	}
	if svg, err := os.ReadFile(filepath.Join(dir, latestPlot)); err != nil || !bytes.HasPrefix(svg, []byte("<svg")) {
		t.Errorf("the plot: %v\n%s", err, svg)
	}
	kept, err := os.ReadFile(filepath.Join(dir, latestMarkdown))
	if err != nil || string(kept) != out.String() {
		t.Errorf("kept: %v\n%s", err, kept)
	}
}

// A run of some sections must not push out the last one of all; it is compared with it.
func TestAPartialReportIsComparedAndNotKept(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if err := report(2, 1000, speed(0.4), cpu(4)).publish(dir, true, &out); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, latestJSON))
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := report(2, 1000, speed(0.6)).publish(dir, false, &out); err != nil || !strings.Contains(out.String(), "0.400 (+50 %)") {
		t.Errorf("%v, not compared:\n%s", err, out.String())
	}
	if after, err := os.ReadFile(filepath.Join(dir, latestJSON)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("%v, now it holds %s", err, after)
	}
}

func TestPublishWithoutADirectoryKeepsNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	var out bytes.Buffer
	if err := report(2, 1000, speed(0.6)).publish("", true, &out); err != nil || out.Len() == 0 {
		t.Fatal(err, out.String())
	}
	if left, _ := filepath.Glob("*"); len(left) > 0 {
		t.Error(left)
	}
}

func TestABrokenReportIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, latestJSON)
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := report(2, 1000, speed(0.6)).publish(dir, true, &bytes.Buffer{}); err == nil {
		t.Error("no error")
	}
	if text, _ := os.ReadFile(path); string(text) != "{" {
		t.Errorf("it holds %s", text)
	}
}

func TestTableIsAligned(t *testing.T) {
	table := report(2, 3_000_000, speed(0.6), cpu(3)).markdown(nil)
	if !strings.Contains(table, "3,000,000 events") {
		t.Errorf("it does not say how many events:\n%s", table)
	}
	_, table, _ = strings.Cut(table, "\n\n")
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if len(lines) != 5 { // head, rule, section, two figures
		t.Fatalf("%d lines:\n%s", len(lines), table)
	}
	for _, line := range lines {
		if len([]rune(line)) != len([]rune(lines[0])) || strings.Count(line, "|") != strings.Count(lines[0], "|") {
			t.Errorf("%q is not as wide as the head, %q", line, lines[0])
		}
	}
}

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.0123456: "0.0123", 0.00001: "0.0000", 0.512: "0.512", 9.876: "9.88", 98.76: "98.8", 987.6: "988",
		12345.6: "12,346", 3_000_000: "3,000,000", -1234: "-1,234", -0.5: "-0.500",
	} {
		if got := short(v); got != want {
			t.Errorf("%v: got %s, want %s", v, got, want)
		}
	}
}

// One pass met a busy machine: neither its value nor its ratio is in the table.
func TestFiguresAreMediansOfThePasses(t *testing.T) {
	var all []Figure
	for _, pass := range [][2]float64{{300, 0.8}, {90, 0.5}, {310, 0.9}} {
		speed := figure("speed", thousandRows, pass[0]).beside(theFloor, pass[1]).atLeast(0.75).at(machinePanel, "speed", 8)
		all = append(all, speed, figure("sluice", microsARow, pass[0]/100))
	}
	figures := medians(all)
	if len(figures) != 2 || figures[0].Name != "speed" || figures[1].Name != "sluice" {
		t.Fatalf("%+v", figures)
	}
	near(t, "value", figures[0].Value, 300)
	near(t, "ratio", figures[0].Ratio, 0.8)
	near(t, "spread", figures[0].Spread, 220.0/300)
	near(t, "the other value", figures[1].Value, 3)
	if !figures[0].met() || figures[0].Point == nil {
		t.Errorf("the goal or the place in the plot is lost: %+v", figures[0])
	}
}

func TestOneOfTwoSectionsWithTheSameNameKeepsItsOwnFigure(t *testing.T) {
	whole, size := cpu(1), cpu(2)
	size.Section = "size"
	if figures := medians([]Figure{whole, size}); len(figures) != 2 || figures[1].Value != 2 {
		t.Errorf("%+v", figures)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{7}, 7}, {[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		near(t, "median", median(c.values), c.want)
	}
}

func TestGoalBoundsTheRatioIfThereIsOne(t *testing.T) {
	value := figure("memory", mebibytes, 300)
	ratio := figure("speed", thousandRows, 300).beside(theFloor, 0.6)
	for _, c := range []struct {
		figure Figure
		met    bool
	}{
		{value, true},
		{value.atMost(256), false},
		{value.atMost(300), true},
		{ratio.atLeast(0.5), true},
		{ratio.atLeast(0.75), false},
	} {
		if c.figure.met() != c.met {
			t.Errorf("%+v with goal %v: %v", c.figure, c.figure.Goal, !c.met)
		}
	}
}
