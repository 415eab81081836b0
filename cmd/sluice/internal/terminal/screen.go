package terminal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// mostLines is how many lines are drawn at most, however tall the window is.
const mostLines = 200

// screen is the terminal below the log, as mpb writes to it: each frame takes the place of the one before. mpb's own writer goes
// up as many lines as it drew; of those that a narrower window has wrapped since, a part would be left at every drawing.
type screen struct {
	bytes.Buffer
	out    io.Writer
	size   func() (width, height int)
	newest atomic.Pointer[[]string]
	frame  []string    // of the drawing under way
	drawn  []int       // widths of the lines that stand there
	apart  atomic.Bool // nothing is drawn, and what stands there is left alone
	unsaid string      // lines of the log meanwhile
}

// part leaves what is drawn where it is, and draws nothing, until it may again: then below.
func (s *screen) part(apart bool) { s.apart.Store(apart) }

func sizeOf(f *os.File) func() (width, height int) {
	return func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width < 1 || height < 1 {
			return 80, 24
		}
		return width, height
	}
}

// above hands the lines of a frame, but for the last one, to mpb: a filler for each, the lowest first; mpb asks the highest first.
// Those that have nothing to draw draw nothing, not even an empty line.
func (s *screen) above() []mpb.BarFiller {
	fillers := make([]mpb.BarFiller, mostLines)
	for n := range fillers {
		fillers[n] = mpb.BarFillerFunc(func(w io.Writer, _ decor.Statistics) error {
			if n == mostLines-1 {
				s.begin()
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

// begin takes the newest frame, of which all lines of a drawing are.
func (s *screen) begin() {
	if newest := s.newest.Load(); newest != nil {
		s.frame = *newest
	}
}

func (s *screen) last(w io.Writer, _ decor.Statistics) error {
	if len(s.frame) == 0 {
		return nil
	}
	_, err := io.WriteString(w, s.frame[len(s.frame)-1])
	return err
}

// IsTerminal says that there is something to draw on.
func (s *screen) IsTerminal() bool { return true }

// GetTermSize returns the size of the window.
func (s *screen) GetTermSize() (width, height int, err error) {
	width, height = s.size()
	return width, height, nil
}

// Flush draws what was written: lines of the log, and the frame below them. mpb's count of lines is not used: of fillers that draw
// nothing it subtracts those, too, that it had left out for want of height.
func (s *screen) Flush(int) error {
	width, height := s.size()
	lines := strings.SplitAfter(s.String(), "\n")
	if n := len(lines); n > 0 && lines[n-1] == "" {
		lines = lines[:n-1]
	}
	s.Reset()
	log := lines[:max(0, len(lines)-max(1, min(len(s.frame), height)))]
	if s.apart.Load() {
		s.unsaid, s.drawn = s.unsaid+strings.Join(log, ""), s.drawn[:0]
		return nil
	}
	_, err := io.WriteString(s.out, s.back(width)+s.unsaid+strings.Join(lines, ""))
	s.unsaid, s.drawn = "", s.drawn[:0]
	for _, line := range lines[len(log):] {
		s.drawn = append(s.drawn, widthOf(strings.TrimSuffix(line, "\n")))
	}
	return err
}

// back goes to the first line of the last drawing, as a window of that width shows it now, and clears from there.
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
