package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
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
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	names    *regexp.Regexp
	list     bool
	markdown bool
	jobs     int
	limit    time.Duration
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	o := options{names: regexp.MustCompile("")}
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("run", "only mutants whose name matches this regular expression", func(s string) (err error) {
		o.names, err = regexp.Compile(s)
		return err
	})
	flags.BoolVar(&o.list, "list", false, "print the mutants without running them")
	flags.BoolVar(&o.markdown, "markdown", false, "with -list: as docs/mutants.md")
	flags.IntVar(&o.jobs, "jobs", 2, "mutants at a time")
	flags.DurationVar(&o.limit, "limit", 2*time.Minute, "longest time of one check")
	if err := flags.Parse(args); err != nil {
		return o, flag.ErrHelp // it has said what is wrong
	}
	if o.jobs < 1 || o.limit <= 0 || flags.NArg() > 0 {
		return o, fmt.Errorf("-jobs %d and -limit %s must be positive, and nothing may follow: %q", o.jobs, o.limit, flags.Args())
	}
	return o, nil
}

// run lists the mutants, or runs them and fails where one of them is not as its file says.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	mutants, err := readMutants(root, o.names)
	if err != nil {
		return err
	}
	switch {
	case o.markdown:
		return writeMarkdown(stdout, mutants)
	case o.list:
		return writeList(stdout, mutants)
	}
	started := time.Now()
	h := &hunt{options: o, root: root, say: func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }}
	results, err := h.all(ctx, mutants)
	if err != nil {
		return err
	}
	return writeResults(stdout, results, time.Since(started))
}
