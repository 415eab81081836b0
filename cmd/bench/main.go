package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
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

// section is a group of figures that are measured together.
type section struct {
	name    string
	measure func(context.Context, *stand) ([]Figure, error)
}

// sections are those that the options ask for, in the order of the table.
func (o *options) sections() []section {
	all := []section{{"whole", measureWhole}}
	if o.parts {
		all = append([]section{{"parts", measureParts}}, all...)
	}
	return all
}

// run measures, prints the table, and keeps it.
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
	r := Report{Machine: s.describe(ctx), Events: o.events, Repeat: o.repeat}
	for _, section := range o.sections() {
		figures, err := section.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("measure %s: %w", section.name, err)
		}
		for _, f := range figures {
			f.Section = section.name
			r.Figures = append(r.Figures, f)
		}
	}
	return publish(&r, s.path(o.out), stdout)
}

// options are the flags.
type options struct {
	events int64
	repeat int
	shards int
	others []int
	parts  bool
	out    string
	binary string
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{others: []int{1, 64}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Int64Var(&o.events, "events", 3_000_000, "how many events are loaded")
	flags.IntVar(&o.repeat, "repeat", 3, "how often floor, whole, floor are measured; 0: only the runs of -others, without a floor")
	flags.IntVar(&o.shards, "shards", 8, "shards of the whole")
	flags.Func("others", "further numbers of shards, measured once each (default 1,64)", func(s string) (err error) {
		o.others, err = numbers(s)
		return err
	})
	flags.BoolVar(&o.parts, "parts", true, "run the Go benchmarks of the parts, too")
	flags.StringVar(&o.out, "out", "bench", "directory, in the checkout, for latest.json and latest.md; empty: keep nothing")
	flags.StringVar(&o.binary, "binary", "", "measure this program instead of building it")
	if err := flags.Parse(args); err != nil {
		return o, flag.ErrHelp // it has said what is wrong
	}
	if o.events < 1 || o.repeat < 0 || o.shards < 1 || flags.NArg() > 0 {
		return o, fmt.Errorf("-events %d, -repeat %d and -shards %d must be positive, and nothing may follow: %q",
			o.events, o.repeat, o.shards, flags.Args())
	}
	return o, nil
}

// numbers reads a list such as 1,64; the empty one has none.
func numbers(s string) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(s, ",") {
		if word == "" {
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of shards", word)
		}
		all = append(all, n)
	}
	return all, nil
}
