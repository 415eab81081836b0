package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"unicode/utf8"
)

// Measures of a character and the margin, in pixels.
const (
	charWidth  = 8
	lineHeight = 18
	margin     = 16
	fontSize   = 13
)

// colours are the usual one and the eight of a terminal, on a dark ground.
var colours = [9]string{"#c9d1d9", "#6e7681", "#ff7b72", "#3fb950", "#d29922", "#79c0ff", "#d2a8ff", "#39c5cf", "#f0f6fc"}

// draw writes the picture. Each run is stretched to the width of its cells, so that columns stand below each other in any font.
func draw(out io.Writer, rows [][]run) error {
	w := bufio.NewWriter(out)
	columns := 1
	for _, row := range rows {
		for _, r := range row {
			columns = max(columns, r.at+utf8.RuneCountInString(r.text))
		}
	}
	width, height := columns*charWidth+2*margin, len(rows)*lineHeight+2*margin
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", width, height, width, height)
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>`+"\n")
	fmt.Fprintf(w, `<g font-family="ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace" font-size="%d">`+"\n", fontSize)
	for n, row := range rows {
		for _, r := range row {
			drawRun(w, n, r)
		}
	}
	fmt.Fprintln(w, "</g>\n</svg>")
	return w.Flush()
}

func drawRun(w *bufio.Writer, line int, r run) {
	fmt.Fprintf(w, `<text x="%d" y="%d" textLength="%d" lengthAdjust="spacingAndGlyphs" fill="%s"`, margin+r.at*charWidth,
		margin+line*lineHeight+fontSize, utf8.RuneCountInString(r.text)*charWidth, colours[r.style.colour])
	if r.style.bold {
		fmt.Fprint(w, ` font-weight="bold"`)
	}
	if r.style.dimmed {
		fmt.Fprint(w, ` opacity="0.6"`)
	}
	fmt.Fprint(w, ">")
	_ = xml.EscapeText(w, []byte(r.text)) // a bufio.Writer keeps its first error for Flush
	fmt.Fprintln(w, "</text>")
}
