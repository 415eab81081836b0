// Bench measures Sluice, and prints each figure as a line of Go's benchmark format, which benchstat reads. `make bench` runs it on a
// machine with nothing else to do.
//
// Seconds say little: the same code on the same machine is a quarter slower an hour later. So every speed stands beside a floor
// that was measured in the same minutes, before and after it, and runs are compared by these ratios and by the CPU a row.
//
// The bench builds the program and starts a PostgreSQL server of its own with the settings that users get, fsync on (rig.go). A
// load is one run of the program as a process, with the simulator as a process of its own, so that its CPU is not the client's
// (world.go). Afterwards the table is compared with what the simulator knows it must hold, by count and hash: speed with wrong
// rows is no speed.
//
// There are three questions and a section for each, and one more for how the answers grow (sections.go):
//
//   - whole: where the machine is the limit, `sluice run` beside server-side COPY of the same rows into the same table;
//   - latency: where the wait for a page is the limit, how many times as fast several shards are as one;
//   - quota: where the API's quotas are the limit, how much of them is used;
//   - size: CPU and memory as the table grows.
//
// With -binary another program, such as one that was built before a change, takes turns with the checkout's, and only these two
// are compared. What single steps cost, from decode to commit, is in the Go benchmarks: go test -bench.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures all sections, and all of them again, so that whatever slows the machine for some minutes is in one sample of each
// figure only. A section that fails does not stop the others of its pass.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	r, err := newRig(ctx, o, stdout, func(format string, args ...any) { fmt.Fprintf(stderr, "bench: "+format+"\n", args...) })
	if err != nil {
		return err
	}
	defer r.close(context.WithoutCancel(ctx))
	r.describe(ctx)
	for r.pass = 0; r.pass < r.repeat && err == nil; r.pass++ {
		r.log("pass %d of %d", r.pass+1, r.repeat)
		for _, s := range r.sections {
			if failed := s.measure(ctx, r); failed != nil {
				err = errors.Join(err, fmt.Errorf("measure %s: %w", s.name, failed))
			}
		}
	}
	return err
}

// section is a group of figures that are measured together.
type section struct {
	name    string
	cost    string // how long a pass takes with the default options on two cores
	what    string
	measure func(context.Context, *rig) error
}

// allSections returns the sections in the order in which they are measured.
func allSections() []section {
	return []section{
		{"whole", "3 min", "start to exit beside the floor, CPU and memory, 1 to 64 shards", measureWhole},
		{"latency", "4 min", "pages of 200 ms and of 3.2 s, 1 to 32 shards", measureLatency},
		{"quota", "6 min", "the true limits, known and hidden, 1 to 64 shards", measureQuota},
		{"size", "1 min", "CPU a row, from small to large (-sizes 300000,3000000,30000000 adds 5 min)", measureSize},
	}
}

// usualShards is the number of shards where a section does not vary it, and the one that has goals.
const usualShards = 8

// options are the flags.
type options struct {
	extent
	events   int64
	repeat   int
	shards   []int64 // of the section whole
	sizes    []int64 // of the section size
	sections []section
	binary   string
}

// extent is how much is measured, apart from the number of events.
type extent struct {
	waits      []waiting // of the section latency
	pace       pace      // of the section quota
	quotaTime  time.Duration
	quotaSizes []int // numbers of shards of the section quota
}

var (
	full = extent{
		waits: []waiting{
			{200 * time.Millisecond, 20, [][]int{{1}, {2}, {4}, {8}, {16}, {32}}},
			{3200 * time.Millisecond, 24, [][]int{{1, 2, 4, 8, 16}, {32}}},
		},
		pace: truePace, quotaTime: 5 * time.Minute, quotaSizes: []int{1, 2, 8, 64},
	}
	// smoke only shows that everything works.
	smoke = extent{
		waits: []waiting{{20 * time.Millisecond, 3, [][]int{{1}, {4}}}},
		pace:  fastPace, quotaTime: 3 * time.Second, quotaSizes: []int{1, 8},
	}
)

func parseFlags(args []string, stderr io.Writer) (o options, err error) {
	o.extent, o.sections = full, allSections()
	help := "some of the sections, such as whole,latency"
	for _, s := range o.sections {
		help += fmt.Sprintf("\n  %-10s %6s  %s", s.name, s.cost, s.what)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Int64Var(&o.events, "events", 3_000_000, "how many events are loaded")
	flags.IntVar(&o.repeat, "repeat", 0, "how many times everything is measured (default 1, with -binary 5)")
	names := flags.String("sections", "whole,latency,quota,size", help)
	flags.Func("shards", "numbers of shards of the section whole (default 1,2,4,8,64, with -binary 8)", numbers(&o.shards))
	flags.Func("sizes", "numbers of events of the section size (default -events / 10 and -events)", numbers(&o.sizes))
	small := flags.Bool("smoke", false, "measure so little that only mistakes show; choose few -events too")
	flags.StringVar(&o.binary, "binary", "", "compare the checkout's program with this one by turns, instead of measuring the sections")
	if err := flags.Parse(args); err != nil {
		return o, flag.ErrHelp // the flag set has printed what is wrong
	}
	wanted := strings.Split(*names, ",")
	o.sections = slices.DeleteFunc(o.sections, func(s section) bool { return !slices.Contains(wanted, s.name) })
	if *small {
		o.extent = smoke
	}
	usual, repeat := []int64{1, 2, 4, usualShards, 64}, 1
	if o.binary != "" {
		o.sections, wanted = []section{{name: "binaries", measure: compareBinaries}}, []string{"binaries"}
		usual, repeat = []int64{usualShards}, 5
		o.binary, err = filepath.Abs(o.binary)
	}
	if len(o.shards) == 0 {
		o.shards = usual
	}
	if len(o.sizes) == 0 {
		o.sizes = []int64{max(1, o.events/10), o.events}
	}
	if o.repeat == 0 {
		o.repeat = repeat
	}
	if o.events < 1 || o.repeat < 1 || flags.NArg() > 0 || len(o.sections) != len(wanted) {
		return o, fmt.Errorf("-events %d and -repeat %d must be positive, -sections %q are not all known, or arguments follow: %q",
			o.events, o.repeat, *names, flags.Args())
	}
	return o, err
}

// numbers reads a list such as 300000,3000000 into a flag.
func numbers(into *[]int64) func(string) error {
	return func(s string) error {
		*into = nil
		for word := range strings.SplitSeq(s, ",") {
			n, err := strconv.ParseInt(word, 10, 64)
			if err != nil || n < 1 {
				return fmt.Errorf("%q is not a positive number", word)
			}
			*into = append(*into, n)
		}
		return nil
	}
}

// figure is a number that was measured, and its goal.
type figure struct {
	value       float64
	unit        string  // in one word
	least, most float64 // 0 means no bound
}

// print writes figures as a line of Go's benchmark format, and says which goals they miss.
func (r *rig) print(name string, figures ...figure) {
	line := fmt.Sprintf("Benchmark%s 1", name)
	for _, f := range figures {
		line += fmt.Sprintf(" %.4g %s", f.value, f.unit)
		if f.value < f.least || f.most > 0 && f.value > f.most {
			r.log("%s misses its goal: %.3g %s, not from %g to %g (0: no bound)", name, f.value, f.unit, f.least, f.most)
		}
	}
	fmt.Fprintln(r.out, line)
}

// describe prints on what is measured, in lines by which benchstat keeps machines and data apart, and of what.
func (r *rig) describe(ctx context.Context) {
	cpu := ""
	text, _ := os.ReadFile("/proc/cpuinfo") // only Linux has one
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			cpu = strings.TrimSpace(value)
		}
	}
	revision, _ := r.tool(ctx, "git", "describe", "--tags", "--always", "--dirty").Output() // empty if the checkout is not under git
	fmt.Fprintf(r.out, "Sluice %s, %s\n%s", strings.TrimSpace(string(revision)), time.Now().UTC().Format(time.DateOnly), units)
	fmt.Fprintf(r.out, "goos: %s\ngoarch: %s\ncpu: %s\ncores: %d\npostgresql: %s\nevents: %d\n", runtime.GOOS, runtime.GOARCH, cpu, runtime.NumCPU(),
		r.server.Status(ctx).Version, r.events)
}

// units says of which figures more is better. Of the others less is.
const units = `Unit krows/s better=higher
Unit ingested-krows/s better=higher
Unit ×floor better=higher
Unit ingested-×floor better=higher
Unit ×one-shard better=higher
Unit of-quotas better=higher
`
