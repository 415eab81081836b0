// Bench measures Sluice and prints one table. `make bench` runs it on a machine with nothing else to do.
//
// Seconds say little: the same code on the same machine is a quarter slower an hour later. So every speed stands beside a floor
// that was measured in the same minutes, before and after it, and runs are compared by these ratios and by the CPU a row.
//
// The bench builds the program and starts a PostgreSQL server of its own with the settings that users get, fsync on (rig.go). A
// load is one run of the program as a process, with the simulator as a process of its own, so that its CPU is not the client's
// (world.go). Afterwards the table is compared with what the simulator knows it must hold, by count and hash: speed with wrong
// rows is no speed.
//
// There are three questions and a section for each, and one more for how the answers grow:
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

// run measures, prints the table, and keeps it as the last report if every section is in it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	r, err := newRig(ctx, o, func(format string, args ...any) { fmt.Fprintf(stderr, "bench: "+format+"\n", args...) })
	if err != nil {
		return err
	}
	defer r.close(context.WithoutCancel(ctx))
	report := Report{Machine: r.machine(ctx), Events: o.events, Repeat: o.repeat}
	report.Figures, err = r.measure(ctx)
	keep := err == nil && len(o.sections) == len(allSections())
	return errors.Join(err, report.publish(o.out, keep, stdout))
}

// measure runs all sections, and all of them again, so that whatever slows the machine for some minutes is in one sample of each
// figure only. A section that fails does not stop the others of its pass.
func (r *rig) measure(ctx context.Context) ([]Figure, error) {
	var all []Figure
	var failed error
	for r.pass = 0; r.pass < r.repeat && failed == nil; r.pass++ {
		r.log("pass %d of %d", r.pass+1, r.repeat)
		for _, s := range r.sections {
			figures, err := s.measure(ctx, r)
			for i := range figures {
				figures[i].Section = s.name
			}
			all = append(all, figures...)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("measure %s: %w", s.name, err))
			}
		}
	}
	return medians(all), failed
}

// section is a group of figures that are measured together.
type section struct {
	name    string
	cost    string // how long a pass takes with the default options on two cores
	what    string
	measure func(context.Context, *rig) ([]Figure, error)
}

// allSections returns the sections in the order of the table.
func allSections() []section {
	return []section{
		{"whole", "3 min", "start to exit beside the floor, CPU, allocations and memory, 1 to 64 shards", measureWhole},
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
	out      string
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
			{200 * time.Millisecond, 20, []int{1, 2, 4, 8, 16, 32}},
			{3200 * time.Millisecond, 24, []int{1, 2, 4, 8, 16, 32}},
		},
		pace: truePace, quotaTime: 5 * time.Minute, quotaSizes: []int{1, 2, 8, 64},
	}
	// smoke only shows that everything works.
	smoke = extent{
		waits: []waiting{{20 * time.Millisecond, 3, []int{1, 4}}},
		pace:  fastPace, quotaTime: 3 * time.Second, quotaSizes: []int{1, 8},
	}
)

func parseFlags(args []string, stderr io.Writer) (options, error) {
	o := options{extent: full, sections: allSections()}
	var small bool
	help := "some of the sections, such as whole,latency; the table is compared with the last report but not kept"
	for _, s := range o.sections {
		help += fmt.Sprintf("\n  %-10s %6s  %s", s.name, s.cost, s.what)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Int64Var(&o.events, "events", 3_000_000, "how many events are loaded")
	flags.IntVar(&o.repeat, "repeat", 0, "how many times everything is measured: the table has the medians (default 1, with -binary 5)")
	flags.Func("sections", help, func(names string) (err error) {
		o.sections, err = chooseSections(names)
		return err
	})
	flags.Func("shards", "numbers of shards of the section whole (default 1,2,4,8,64, with -binary 8)", numbers(&o.shards))
	flags.Func("sizes", "numbers of events of the section size (default -events / 10 and -events)", numbers(&o.sizes))
	flags.BoolVar(&small, "smoke", false, "measure so little that only mistakes show; choose few -events too")
	flags.StringVar(&o.out, "out", "bench/results", "directory of the last report, in the checkout; empty to keep and compare nothing")
	flags.StringVar(&o.binary, "binary", "", "compare the checkout's program with this one by turns, instead of measuring the sections")
	if err := flags.Parse(args); err != nil {
		return o, flag.ErrHelp // the flag set has printed what is wrong
	}
	if small {
		o.extent = smoke
	}
	usual, repeat := []int64{1, 2, 4, usualShards, 64}, 1
	if o.binary != "" {
		o.sections = []section{{name: "binaries", measure: compareBinaries}}
		usual, repeat = []int64{usualShards}, 5
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
	if o.events < 1 || o.repeat < 1 || flags.NArg() > 0 {
		return o, fmt.Errorf("-events %d and -repeat %d must be positive, and no arguments may follow: %q", o.events, o.repeat, flags.Args())
	}
	var err error
	if o.binary != "" {
		o.binary, err = filepath.Abs(o.binary)
	}
	return o, err
}

// chooseSections finds the sections of a list of names, in the order of the table.
func chooseSections(names string) ([]section, error) {
	all, wanted := allSections(), strings.Split(names, ",")
	for _, name := range wanted {
		if !slices.ContainsFunc(all, func(s section) bool { return s.name == name }) {
			return nil, fmt.Errorf("%q is not a section", name)
		}
	}
	return slices.DeleteFunc(all, func(s section) bool { return !slices.Contains(wanted, s.name) }), nil
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
