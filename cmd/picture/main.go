// Picture turns what a terminal shows into an SVG: docs/pictures/terminal.sh hands it what tmux captured of a run.
//
//	tmux capture-pane -e -p | go run ./cmd/picture > terminal.svg
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := picture(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

func picture(in io.Reader, out io.Writer) error {
	var rows [][]run
	var p pen
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		rows = append(rows, p.runs(lines.Text()))
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for len(rows) > 0 && len(rows[len(rows)-1]) == 0 { // the empty rest of the window
		rows = rows[:len(rows)-1]
	}
	return draw(out, rows)
}
