package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// writeResults prints a table of what became of each mutant, and fails if one was not killed.
func writeResults(w io.Writer, results []result, took time.Duration) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "mutant\tpromise\tkilled by\tseconds")
	killed := 0
	for i := range results {
		r := &results[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%.1f\n", r.Name, r.Promise, r.verdict(), r.Took.Seconds())
		if r.KilledBy != "" {
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
