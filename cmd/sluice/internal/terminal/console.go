package terminal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// Console is stderr, shared by all that write to it: while bars are shown, lines go above them.
type Console struct {
	mu     sync.Mutex
	out    io.Writer
	bars   io.Writer           // nil: none are shown
	left   io.Writer           // the bars, while they are detached
	detach func(detached bool) // has the bars leave alone what is drawn
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

// show lets lines go above the bars. detach makes the bars leave alone what is drawn, and begin below it later.
func (c *Console) show(bars io.Writer, detach func(detached bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bars, c.detach = bars, detach
}

// Leave detaches the bars until Return, and lets lines go below them at once: the process is about to be stopped, and the shell will
// write there too.
func (c *Console) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bars == nil {
		return
	}
	c.detach(true)
	c.left, c.bars = c.bars, nil
	_, _ = io.WriteString(c.out, "\r\x1b[J") // over the ^Z that was typed
}

// Return draws the bars again, below whatever is there now.
func (c *Console) Return() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left != nil {
		c.detach(false)
		c.bars, c.left = c.left, nil
	}
}

// hide ends the bars by calling end, and lets no line in between: it would be drawn over.
func (c *Console) hide(end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end()
	c.bars, c.left = nil, nil
}

// Environ looks up an environment variable.
type Environ func(string) (string, bool)

func (e Environ) value(name string) string {
	v, _ := e(name)
	return v
}

// Interactive reports whether w is a terminal that can move its cursor, outside of CI.
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

// maxLines is how many lines are drawn, however tall the window is.
const maxLines = 200

// screen is the terminal below the log, as mpb writes to it: each frame replaces the one before. mpb's own writer goes up as many lines
// as it drew; of those that a narrower window has wrapped since, a part would be left at every drawing.
type screen struct {
	bytes.Buffer
	out      io.Writer
	size     func() (width, height int)
	newest   atomic.Pointer[[]string]
	frame    []string    // of the drawing under way
	drawn    []int       // widths of the lines that were drawn last
	detached atomic.Bool // nothing is drawn, and what was drawn is left alone; drawing goes on below it
	pending  string      // lines of the log meanwhile
}

func sizeOf(f *os.File) func() (width, height int) {
	return func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width < 1 || height < 1 {
			return 80, 24
		}
		return width, height
	}
}

// above hands all lines of a frame but the last to mpb: a filler for each, the lowest first; mpb calls the highest first. Fillers
// without a line draw nothing, not even an empty line.
func (s *screen) above() []mpb.BarFiller {
	fillers := make([]mpb.BarFiller, maxLines)
	for n := range fillers {
		fillers[n] = mpb.BarFillerFunc(func(w io.Writer, _ decor.Statistics) error {
			if newest := s.newest.Load(); newest != nil && n == maxLines-1 {
				s.frame = *newest // all lines of a drawing are of the same frame
			}
			if k := len(s.frame) - 2 - n; k >= 0 {
				_, err := fmt.Fprintln(w, s.frame[k])
				return err
			}
			return nil
		})
	}
	return fillers
}

// last draws the last line of a frame.
func (s *screen) last(w io.Writer, _ decor.Statistics) error {
	if len(s.frame) == 0 {
		return nil
	}
	_, err := io.WriteString(w, s.frame[len(s.frame)-1])
	return err
}

// IsTerminal tells mpb to draw.
func (s *screen) IsTerminal() bool { return true }

// GetTermSize returns the size of the window.
func (s *screen) GetTermSize() (width, height int, err error) {
	width, height = s.size()
	return width, height, nil
}

// Flush draws what was written: lines of the log, and the frame below them. mpb's count of lines is not used: it also subtracts fillers
// without a line that it had left out for lack of height.
func (s *screen) Flush(int) error {
	width, height := s.size()
	lines := strings.SplitAfter(s.String(), "\n")
	if n := len(lines); n > 0 && lines[n-1] == "" {
		lines = lines[:n-1]
	}
	s.Reset()
	log := lines[:max(0, len(lines)-max(1, min(len(s.frame), height)))]
	if s.detached.Load() {
		s.pending, s.drawn = s.pending+strings.Join(log, ""), s.drawn[:0]
		return nil
	}
	_, err := io.WriteString(s.out, s.back(width)+s.pending+strings.Join(lines, ""))
	s.pending, s.drawn = "", s.drawn[:0]
	for _, line := range lines[len(log):] {
		s.drawn = append(s.drawn, widthOf(strings.TrimSuffix(line, "\n")))
	}
	return err
}

// back returns to the first line of the last drawing, as a window of that width shows it now, and clears from there.
func (s *screen) back(width int) string {
	rows := 0
	for _, w := range s.drawn {
		rows += max(1, (w+width-1)/width)
	}
	if rows == 0 {
		return ""
	}
	return fmt.Sprintf("\r\x1b[%dA\x1b[J", rows) // a ^C that was typed has moved the cursor
}
