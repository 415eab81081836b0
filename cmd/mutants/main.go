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
// space, a word after $ stands for any name (in the replacement, for the first one), and "..." stands for the rest of a line. No
// file, package or line is named, so code can move and most names can change. A test reports every fragment that no longer matches.
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
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run lists the mutants, or runs them and fails if one survives.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	flags.SetOutput(stderr)
	names := flags.String("run", "", "only mutants whose name matches this regular expression")
	list := flags.Bool("list", false, "print docs/mutants.md and exit")
	jobs := flags.Int("jobs", 2, "mutants at a time")
	limit := flags.Duration("limit", 2*time.Minute, "time limit of one test")
	if err := flags.Parse(args); err != nil {
		return err
	}
	matching, err := regexp.Compile(*names)
	if err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	mutants, err := readMutants(root, matching)
	if err != nil {
		return err
	}
	if *list {
		return writeMarkdown(stdout, mutants)
	}
	t, err := readTree(root)
	if err != nil {
		return err
	}
	for i := range mutants {
		if err := t.place(&mutants[i]); err != nil {
			return err
		}
	}
	started := time.Now()
	h := &hunt{root: root, jobs: max(1, *jobs), limit: *limit, log: func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }}
	results, err := h.all(ctx, mutants)
	if err != nil {
		return err
	}
	return writeResults(stdout, results, time.Since(started))
}

// moduleRoot returns the directory of go.mod.
func moduleRoot() (string, error) {
	file, err := exec.Command("go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(file))), err
}

// writeResults prints a table of what became of each mutant, and fails if one was not killed.
func writeResults(w io.Writer, results []result, took time.Duration) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "mutant\tpromise\tkilled by\tseconds")
	killed := 0
	for i := range results {
		r := &results[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\n", r.Name, r.Promise, r.verdict(), r.took.Seconds())
		if r.killedBy != "" {
			killed++
		}
	}
	fmt.Fprintf(table, "%d mutants, %d killed, in %s\n", len(results), killed, took.Round(time.Second))
	if err := table.Flush(); err != nil || killed == len(results) {
		return err
	}
	return errors.New("mutants survived or are invalid: write a test that kills them")
}

const markdownHead = `# Mutants

Each row is one way in which Sluice was broken on purpose, and the test that notices. ` + "`make mutants`" + ` breaks the code in each of these
ways, one at a time, and requires the test to fail; a mutant that does not compile or only hangs does not count. They are kept in
` + "`cmd/mutants/mutants.txt`" + `; ` + "`go run ./cmd/mutants -list`" + ` writes this page, and a test keeps it up to date. The promises are those of
[promises.md](promises.md).

| mutant | what is broken | promise | test |
|---|---|---|---|
`

// writeMarkdown prints docs/mutants.md.
func writeMarkdown(w io.Writer, mutants []mutant) error {
	var page strings.Builder
	page.WriteString(markdownHead)
	for _, m := range mutants {
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", m.Name, strings.ReplaceAll(m.Story, "|", `\|`), m.Promise, m.Test)
	}
	_, err := io.WriteString(w, page.String())
	return err
}
