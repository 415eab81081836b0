package terminal

import (
	"cmp"
	"io"
	"strings"
	"unicode/utf8"
)

// tone is what a text means; the style decides what it looks like.
type tone string

const (
	plain  tone = ""
	faint  tone = "2"
	strong tone = "1"
	good   tone = "32"
	bad    tone = "31"
	notice tone = "33"
	moving tone = "36"
)

// span is a text of one tone, row is a line of them.
type (
	span struct {
		text string
		tone tone
	}
	row []span
)

// toneOf returns the tone of a shard's state.
func toneOf(state string) tone {
	switch state {
	case "done":
		return good
	case "failed":
		return bad
	case "running":
		return moving
	case "suspect":
		return notice
	}
	return faint
}

func (r row) width() (sum int) {
	for _, one := range r {
		sum += utf8.RuneCountInString(one.text)
	}
	return sum
}

// style is what a terminal can show.
type style struct {
	colour bool
	ascii  bool // no UTF-8: bars of = and -
}

// styleOf reads the environment: NO_COLOR (https://no-color.org) turns colours off, a locale without UTF-8 the box characters.
func styleOf(w io.Writer, environ Environ) style {
	locale := cmp.Or(environ.value("LC_ALL"), environ.value("LC_CTYPE"), environ.value("LANG"))
	name := strings.ToUpper(strings.ReplaceAll(locale, "-", ""))
	return style{
		colour: isTerminal(w) && environ.value("NO_COLOR") == "" && environ.value("TERM") != "dumb",
		ascii:  !strings.Contains(name, "UTF8"),
	}
}

func (s style) paint(text string, t tone) string {
	if !s.colour || t == plain || text == "" {
		return text
	}
	return "\x1b[" + string(t) + "m" + text + "\x1b[0m"
}

// draw returns a row as text, cut to the width: a line that wraps would be two.
func (s style) draw(r row, width int) string {
	var b strings.Builder
	for _, one := range r {
		text := cut(one.text, width)
		width -= utf8.RuneCountInString(text)
		b.WriteString(s.paint(text, one.tone))
	}
	return b.String()
}

// cut returns at most width characters of a text. Each of those used here takes one cell.
func cut(text string, width int) string {
	if width <= 0 {
		return ""
	}
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width])
}

// widthOf returns how many cells a drawn line takes.
func widthOf(line string) int {
	width, escape := 0, false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case !escape:
			width++
		case r >= '@' && r != '[':
			escape = false
		}
	}
	return width
}

// bar returns a bar of width cells, of which a share is full. It is full only if all is done, and not empty if something is.
func (s style) bar(share float64, width int, t tone) row {
	if width <= 0 {
		return nil
	}
	halves := int(min(max(share, 0), 1) * float64(2*width))
	if halves == 0 && share > 0 {
		halves = 1
	}
	whole, half, rest := "━", "╸", "─"
	if s.ascii {
		whole, half, rest = "=", "-", "."
	}
	full := row{{strings.Repeat(whole, halves/2), t}}
	if halves%2 == 1 {
		full = append(full, span{half, t})
	}
	return append(full, span{strings.Repeat(rest, width-(halves+1)/2), faint})
}
