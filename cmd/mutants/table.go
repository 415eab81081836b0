package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// writeResults prints a table of what became of each mutant. The error says that one of them was not killed.
func writeResults(w io.Writer, results []result, took time.Duration) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "mutant\tpromise\tcheck\tkilled by\tseconds")
	killed, wrong := 0, 0
	for i := range results {
		r := &results[i]
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.1f\n", r.Name, r.Promise, rooms(&r.mutant), r.verdict(), r.Took.Seconds())
		if r.KilledBy != "" {
			killed++
		}
		if !r.asSaid() {
			wrong++
		}
	}
	fmt.Fprintf(table, "%d mutants: %d killed, %d not as they should be, in %s\n", len(results), killed, wrong, took.Round(time.Second))
	if err := table.Flush(); err != nil || wrong == 0 {
		return err
	}
	return errors.New("mutants survived or are invalid: write a test that kills them, or prove that none can")
}

// rooms names the packages of a mutant's checks.
func rooms(m *mutant) string {
	var names []string
	for _, c := range m.Checks {
		names = append(names, c.Package)
	}
	return strings.Join(names, " ")
}

// writeList prints what is broken and how to see it.
func writeList(w io.Writer, mutants []mutant) error {
	for _, m := range mutants {
		_, err := fmt.Fprintf(w, "%s (%s)\n    %s\n", m.Name, m.Promise, m.Story)
		for _, c := range m.Checks {
			_, err = fmt.Fprintf(w, "    %s\n", c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const markdownHead = `# Mutants

Each line is one way in which Sluice was broken on purpose, and the test that sees it. ` + "`make mutants`" + ` applies them one by one to a
copy of the tree and demands that the named test fails (a mutant that does not compile, or only hangs, does not count). They
lie in ` + "`cmd/mutants/testdata`" + `; this page is written by ` + "`go run ./cmd/mutants -list -markdown`" + `, and a test holds it true. The promises are
those of [promises.md](promises.md).

| mutant | what is broken | promise | killed by |
|---|---|---|---|
`

const markdownSurvivors = `
## Survivors

No test can tell these from the original, because another layer makes good what they break. Their pair breaks that layer
too, and dies.

| mutant | why it lives | pair |
|---|---|---|
`

// writeMarkdown prints docs/mutants.md.
func writeMarkdown(w io.Writer, mutants []mutant) error {
	var page, survivors strings.Builder
	page.WriteString(markdownHead)
	for _, m := range mutants {
		if m.Survives != "" {
			fmt.Fprintf(&survivors, "| %s | %s %s | %s |\n", m.Name, cell(m.Story), cell(m.Survives), m.Pair)
			continue
		}
		var tests []string
		for _, c := range m.Checks {
			tests = append(tests, strings.TrimPrefix(c.Package, "./")+" "+strings.Join(c.tests(), ", "))
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %s |\n", m.Name, cell(m.Story), m.Promise, cell(strings.Join(tests, "; ")))
	}
	if survivors.Len() > 0 {
		page.WriteString(markdownSurvivors + survivors.String())
	}
	_, err := io.WriteString(w, page.String())
	return err
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
