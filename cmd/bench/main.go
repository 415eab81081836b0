package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// start is the bench, or one of its children.
func start(ctx context.Context, args []string) error {
	if len(args) == 1 && children[args[0]] != nil {
		return runChild(ctx, args[0])
	}
	return run(ctx, args, os.Stdout, os.Stderr)
}

// run measures, prints the table, and keeps it if all sections are in it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	s, err := newStand(ctx, o, func(format string, args ...any) { fmt.Fprintf(stderr, "bench: "+format+"\n", args...) })
	if err != nil {
		return err
	}
	defer s.close(context.WithoutCancel(ctx))
	r := Report{Machine: s.describe(ctx), Events: o.events, Repeat: o.repeat, Passes: o.passes}
	var failed error
	r.Figures, failed = s.measurePasses(ctx)
	return errors.Join(failed, publish(&r, s.path(o.out), o.keeping(failed), stdout))
}

// measureAll measures the sections one after another. One that fails does not keep the others from being measured.
func (s *stand) measureAll(ctx context.Context) (all []Figure, failed error) {
	for _, beside := range besides(s.sections) {
		figures, failures := make([][]Figure, len(beside)), make([]error, len(beside))
		var measuring sync.WaitGroup
		for i, section := range beside {
			measuring.Go(func() { figures[i], failures[i] = section.figures(ctx, s) })
		}
		measuring.Wait()
		all, failed = append(all, slices.Concat(figures...)...), errors.Join(failed, errors.Join(failures...))
	}
	return all, failed
}

// besides groups the sections that are measured at the same time: neighbours that only wait.
func besides(sections []section) (groups [][]section) {
	for i, one := range sections {
		if i > 0 && one.waits && sections[i-1].waits {
			last := len(groups) - 1
			groups[last] = append(groups[last], one)
		} else {
			groups = append(groups, []section{one})
		}
	}
	return groups
}

func (one *section) figures(ctx context.Context, s *stand) ([]Figure, error) {
	figures, err := one.measure(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("measure %s: %w", one.name, err)
	}
	for i := range figures {
		figures[i].Section = one.name
	}
	return figures, nil
}

// options are the flags, and what follows from them.
type options struct {
	extent
	events   int64
	repeat   int
	passes   int
	shards   int
	sizes    []int64
	sections []section
	out      string
	keep     bool
	binary   string
	profile  string
}

// keeping is what becomes of a report: one of some sections would push out the last one of all.
func (o *options) keeping(failed error) keeping {
	switch {
	case failed != nil:
		return keepNothing
	case len(o.sections) == len(allSections()):
		return keepAll
	case o.keep:
		return keepSections
	}
	return keepNothing
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{extent: full, sections: allSections()}
	var small bool
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Int64Var(&o.events, "events", 3_000_000, "how many events are loaded")
	flags.IntVar(&o.repeat, "repeat", 3, "how often the section whole measures floor, whole, floor")
	flags.IntVar(&o.passes, "passes", 1, "how often all sections are measured: the table has the medians")
	flags.IntVar(&o.shards, "shards", 8, "shards, where a section does not vary them")
	flags.Func("sections", "some of the sections, such as whole,latency; the result is compared, and kept only with -keep:"+sectionHelp(),
		func(names string) (err error) {
			o.sections, err = choose(names)
			return err
		})
	flags.Func("sizes", "numbers of events of the section size (default -events / 10 and -events)", func(s string) (err error) {
		o.sizes, err = numbers(s)
		return err
	})
	flags.BoolVar(&small, "smoke", false, "measure so little that only mistakes show; choose few -events, too")
	flags.StringVar(&o.out, "out", "bench/results", "directory, in the checkout, of the last report; empty: keep and compare nothing")
	flags.BoolVar(&o.keep, "keep", false, "put the sections into the last report, in the place of what it has of them")
	flags.StringVar(&o.binary, "binary", "", "measure this program, such as an older one, instead of the checkout's")
	flags.StringVar(&o.profile, "profile", "", "file for a CPU profile of the client; the section whole writes it")
	if err := flags.Parse(args); err != nil {
		return o, flag.ErrHelp // it has said what is wrong
	}
	if small {
		o.extent = smoke
	}
	if len(o.sizes) == 0 {
		o.sizes = []int64{max(1, o.events/10), o.events}
	}
	if min(o.events, int64(o.repeat), int64(o.passes), int64(o.shards)) < 1 || flags.NArg() > 0 {
		return o, fmt.Errorf("-events %d, -repeat %d, -passes %d and -shards %d must be positive, and nothing may follow: %q",
			o.events, o.repeat, o.passes, o.shards, flags.Args())
	}
	return o, nil
}

// numbers reads a list such as 300000,3000000.
func numbers(s string) ([]int64, error) {
	var all []int64
	for word := range strings.SplitSeq(s, ",") {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of events", word)
		}
		all = append(all, n)
	}
	return all, nil
}
