package main

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// run is neighbouring characters that look alike.
type run struct {
	at    int // column
	text  string
	style pen
}

// pen is how characters look, as the escape sequences before them have said.
type pen struct {
	colour       int // of the eight, from 1; 0: the usual one
	bold, dimmed bool
}

// runs cuts a line at its escape sequences, and leaves out what is blank.
func (p *pen) runs(line string) (all []run) {
	column := 0
	for line != "" {
		text, rest, escaped := strings.Cut(line, "\x1b[")
		all = append(all, p.words(text, column)...)
		column += utf8.RuneCountInString(text)
		line = rest
		if escaped {
			codes, after, _ := strings.Cut(rest, "m")
			p.set(codes)
			line = after
		}
	}
	return all
}

// words cuts a text where it has more than one blank: a browser would draw only one of them, wherever the next word belongs.
func (p *pen) words(text string, column int) (all []run) {
	for text != "" {
		word := strings.TrimLeft(text, " ")
		column += len(text) - len(word)
		word, rest, _ := strings.Cut(word, "  ")
		if word != "" {
			all = append(all, run{column, strings.TrimRight(word, " "), *p})
		}
		column += utf8.RuneCountInString(word) + 2
		text = rest
	}
	return all
}

// set takes over the codes of one sequence (ECMA-48, SGR); those that Sluice does not use are passed over.
func (p *pen) set(codes string) {
	for _, code := range strings.Split(codes, ";") {
		switch n, _ := strconv.Atoi(code); {
		case n == 0:
			*p = pen{}
		case n == 1:
			p.bold = true
		case n == 2:
			p.dimmed = true
		case n == 22:
			p.bold, p.dimmed = false, false
		case n >= 30 && n <= 37:
			p.colour = n - 29
		case n == 39:
			p.colour = 0
		}
	}
}
