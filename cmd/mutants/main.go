// Mutants breaks Sluice on purpose, one way at a time, and requires a named test to fail. A test that passes while the code is
// wrong is worth nothing, and only this shows it.
//
// The mutants are in mutants.txt. Each has a name, the promise of docs/promises.md that it breaks, the test that must fail, a
// sentence saying what a user would see, and what to replace in the code:
//
//	== end-from-the-cache P8 TestRunStuckAtACachedEnd
//	The second read that confirms an end may come from the API's cache.
//	- case $p.ends() && !$p.Cached && $w.endsAgain():
//	+ case $p.ends() && $w.endsAgain():
//
// The fragment after "-" must occur exactly once in the production code of the whole module. White space is equal to any white
// space, a word after $ stands for any name, and "..." stands for the rest of a line. No file, package or line is named, so code
// can move and most names can change. A test reports every fragment that no longer matches.
//
//	go run ./cmd/mutants             # all of them; takes minutes
//	go run ./cmd/mutants -run trim   # mutants with a matching name
//	go run ./cmd/mutants -list       # docs/mutants.md, without running anything
//
// A mutant that does not compile, or whose test only times out, is not killed.
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
	names *regexp.Regexp
	list  bool
	jobs  int
	limit time.Duration
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	o := options{names: regexp.MustCompile("")}
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("run", "only mutants whose name matches this regular expression", func(s string) (err error) {
		o.names, err = regexp.Compile(s)
		return err
	})
	flags.BoolVar(&o.list, "list", false, "print docs/mutants.md and exit")
	flags.IntVar(&o.jobs, "jobs", 2, "mutants at a time")
	flags.DurationVar(&o.limit, "limit", 2*time.Minute, "time limit of one test")
	if err := flags.Parse(args); err != nil {
		return o, flag.ErrHelp // the flag set has printed what is wrong
	}
	if o.jobs < 1 || o.limit <= 0 || flags.NArg() > 0 {
		return o, fmt.Errorf("-jobs %d and -limit %s must be positive, and no arguments may follow: %q", o.jobs, o.limit, flags.Args())
	}
	return o, nil
}

// run lists the mutants, or runs them and fails if one survives.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	t, err := readTree(root)
	if err != nil {
		return err
	}
	mutants, err := readMutants(root, o.names)
	if err != nil {
		return err
	}
	if o.list {
		return writeMarkdown(stdout, mutants)
	}
	for i := range mutants {
		if err := t.place(&mutants[i]); err != nil {
			return err
		}
	}
	started := time.Now()
	h := &hunt{options: o, root: root, log: func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }}
	results, err := h.all(ctx, mutants)
	if err != nil {
		return err
	}
	return writeResults(stdout, results, time.Since(started))
}

// moduleRoot returns the directory of go.mod, searching upward from the working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod here or above")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
