package terminal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// glass is a terminal as far as Sluice uses one: it wraps, scrolls, moves the cursor up and clears.
type glass struct {
	mu            sync.Mutex
	width, height int
	rows          []string // everything that was ever shown; the last height rows are visible
	at            int      // row of the cursor
}

func (w *glass) size() (int, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.width, w.height
}

func (w *glass) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := string(p)
	for text != "" {
		var n int
		switch {
		case strings.HasPrefix(text, "\r"):
			text = text[1:]
		case strings.HasPrefix(text, "\x1b[J"):
			w.rows, text = w.rows[:min(w.at, len(w.rows))], text[3:]
		case strings.HasPrefix(text, "\x1b["):
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &n); err != nil {
				return 0, err
			}
			w.at = max(w.at-n, len(w.rows)+1-w.height, 0)
			text = text[strings.Index(text, "A")+1:]
		default:
			line, rest, _ := strings.Cut(text, "\n")
			w.print(line)
			text = rest
		}
	}
	return len(p), nil
}

func (w *glass) print(line string) {
	for first := true; first || line != ""; first = false {
		part := cut(line, w.width)
		line = line[len(part):]
		w.rows = append(w.rows[:w.at], part)
		w.at++
	}
}

// narrow makes the window narrower and wraps its lines, as terminals do.
func (w *glass) narrow(width int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rows := w.rows
	w.width, w.rows, w.at = width, nil, 0
	for _, line := range rows {
		w.print(line)
	}
}

// watchBars shows the bars of some shards for 30 s, with a log line every second, and calls change after 15 s. It returns what the window
// should show in the end: each log line once and in order, the bars below, and then the lines that came later.
func watchBars(t *testing.T, w *glass, shards int, change func()) []string {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c := NewConsole(w)
		time.AfterFunc(15*time.Second+time.Millisecond, change)
		for n := range 30 {
			time.AfterFunc(time.Duration(n)*time.Second+time.Millisecond, func() { fmt.Fprintf(c, "log %d.\n", n) })
		}
		bars(ctx, c, style{}, &screen{out: w, size: w.size}, func() view.View { return running(shards) })
		fmt.Fprintln(c, "the summary")
	})
	var want []string
	for n := range 30 {
		want = append(want, fmt.Sprintf("log %d.", n))
	}
	return append(append(want, frameOf(running(shards), w.width, w.height)...), "the summary")
}

// TestTheLogStandsAboveTheBars, even with more shards than lines.
func TestTheLogStandsAboveTheBars(t *testing.T) {
	w := &glass{width: 80, height: 24}
	if want := watchBars(t, w, 64, func() {}); !slices.Equal(w.rows, want) {
		t.Errorf("the window shows\n%s", strings.Join(w.rows, "\n"))
	}
}

// TestANarrowerWindowKeepsNoTraces of the wider one: wrapped lines are drawn over.
func TestANarrowerWindowKeepsNoTraces(t *testing.T) {
	w := &glass{width: 80, height: 24}
	if want := watchBars(t, w, 6, func() { w.narrow(50) }); !slices.Equal(w.rows, want) {
		t.Errorf("the window shows\n%s", strings.Join(w.rows, "\n"))
	}
}

// TestAStoppedProcessLeavesTheWindowToTheShell: the drawn bars stay, log lines and the output of the shell go below them, and after fg new
// bars begin below that.
func TestAStoppedProcessLeavesTheWindowToTheShell(t *testing.T) {
	w := &glass{width: 80, height: 40}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		c := NewConsole(w)
		time.AfterFunc(10*time.Second+time.Millisecond, func() {
			c.Leave()
			fmt.Fprintln(c, "stopped")
			fmt.Fprintln(w, "the shell")
		})
		time.AfterFunc(20*time.Second+time.Millisecond, func() {
			c.Return()
			fmt.Fprintln(c, "goes on")
		})
		bars(ctx, c, style{}, &screen{out: w, size: w.size}, func() view.View { return running(2) })
	})
	frame := frameOf(running(2), w.width, w.height)
	want := append(append(slices.Clone(frame), "stopped", "the shell", "goes on"), frame...)
	if !slices.Equal(w.rows, want) {
		t.Errorf("the window shows\n%s\nwant\n%s", strings.Join(w.rows, "\n"), strings.Join(want, "\n"))
	}
}
