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
	bars io.Writer        // nil: none are shown
	left io.Writer        // the bars, while what is drawn is left alone
	part func(apart bool) // has the bars leave what is drawn alone
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

// show lets lines go above the bars. Part makes them leave what is drawn alone, and begin below it later.
func (c *Console) show(bars io.Writer, part func(apart bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bars, c.part = bars, part
}

// Leave lets what is drawn stand where it is, and lines go below it at once: the process is about to be stopped, and the shell will
// write there too. Until Return.
func (c *Console) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bars == nil {
		return
	}
	c.part(true)
	c.left, c.bars = c.bars, nil
	_, _ = io.WriteString(c.out, "\r\x1b[J") // over the ^Z that was typed
}

// Return draws the bars again, below whatever stands there now.
func (c *Console) Return() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left != nil {
		c.part(false)
		c.bars, c.left = c.left, nil
	}
}

// hide ends the bars by end, and lets no line in between: it would be drawn over.
func (c *Console) hide(end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end()
	c.bars, c.left = nil, nil
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
