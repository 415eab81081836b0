package terminal

import (
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// Console is stderr as everybody writes to it: while bars are shown, lines go above them.
type Console struct {
	mu   sync.Mutex
	out  io.Writer
	bars io.Writer // nil: none are shown
}

// NewConsole returns a console over w.
func NewConsole(w io.Writer) *Console { return &Console{out: w} }

func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bars != nil {
		return c.bars.Write(p)
	}
	return c.out.Write(p)
}

// show lets lines go above the bars.
func (c *Console) show(bars io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bars = bars
}

// hide ends the bars by end, and lets no line in between: it would be drawn over.
func (c *Console) hide(end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end()
	c.bars = nil
}

// Environ looks a variable of the environment up.
type Environ func(string) (string, bool)

func (e Environ) value(name string) string {
	v, _ := e(name)
	return v
}

// Interactive tells whether somebody looks at w: a terminal that can move its cursor, and no CI.
func Interactive(w io.Writer, environ Environ) bool {
	return isTerminal(w) && environ.value("TERM") != "dumb" && environ.value("CI") == ""
}

func isTerminal(w io.Writer) bool {
	if c, ok := w.(*Console); ok {
		w = c.out
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
