package terminal

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

const (
	lookEvery = 500 * time.Millisecond
	lineEvery = 5 * time.Second
)

// Console is stderr as everybody writes to it: while a bar is shown, lines go above it.
type Console struct {
	mu  sync.Mutex
	out io.Writer
	bar io.Writer // nil: no bar is shown
}

// NewConsole returns a console over w.
func NewConsole(w io.Writer) *Console { return &Console{out: w} }

func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bar != nil {
		return c.bar.Write(p)
	}
	return c.out.Write(p)
}

func (c *Console) show(bar io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bar = bar
}

// interactive tells whether somebody looks at the console: a terminal, and none that calls itself dumb.
func (c *Console) interactive(environ func(string) (string, bool)) bool {
	f, ok := c.out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false
	}
	name, _ := environ("TERM")
	ci, _ := environ("CI")
	return name != "dumb" && ci == ""
}

// Show draws what look returns until ctx ends, and once more then. It returns after the last drawing.
func Show(ctx context.Context, c *Console, environ func(string) (string, bool), look func() View) {
	if c.interactive(environ) {
		bar(ctx, c, look)
		return
	}
	lines(ctx, c, look)
}

func lines(ctx context.Context, c *Console, look func() View) {
	var r rate
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	next := time.Now().Add(lineEvery)
	for {
		select {
		case now := <-tick.C:
			v := look()
			r.add(now, v.Stored)
			if now.After(next) {
				next = next.Add(lineEvery)
				fmt.Fprintln(c, r.line(v, now))
			}
		case <-ctx.Done():
			return
		}
	}
}

// bar draws one bar for the whole run, and under it a line that says the rest.
func bar(ctx context.Context, c *Console, look func() View) {
	container := mpb.New(mpb.WithOutput(c.out), mpb.WithRefreshRate(lookEvery))
	var amount, rest atomic.Value
	amount.Store("")
	rest.Store("")
	total := container.AddBar(0,
		mpb.PrependDecorators(decor.Percentage(decor.WCSyncSpace), decor.Name(" ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return amount.Load().(string) })),
		mpb.BarExtender(mpb.BarFillerFunc(func(w io.Writer, s decor.Statistics) error {
			_, err := fmt.Fprintln(w, fit(rest.Load().(string), s.AvailableWidth))
			return err
		}), false))
	c.show(container)
	defer func() {
		c.show(nil)
		total.Abort(false)
		container.Wait()
	}()
	var r rate
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		v, now := look(), time.Now()
		r.add(now, v.Stored)
		amount.Store(r.amount(v))
		rest.Store(r.rest(v, now))
		total.SetTotal(max(v.Total, 1), false)
		total.SetCurrent(v.Stored)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// fit cuts a line to the width of the terminal: one that wraps would leave its tail behind at every drawing.
func fit(line string, width int) string {
	if width < 1 || len(line) <= width {
		return line
	}
	return line[:width]
}
