// Package terminal draws a view.View on a terminal: as bars on a real terminal, as a line every 5 s elsewhere, or as a JSON object
// in its place for scripts. It pulls a View twice a second. What the commands print for people uses the same words, tables and colours.
package terminal

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"

	"sluice/cmd/sluice/internal/view"
)

const (
	drawEvery = 500 * time.Millisecond
	lineEvery = 5 * time.Second
)

// Show draws what look returns until ctx ends, and once more then: bars on an interactive terminal, a line every 5 s elsewhere, and
// that line as a JSON object if asJSON. It returns after the last drawing.
func Show(ctx context.Context, c *Console, environ Environ, asJSON bool, look func() view.View) {
	switch {
	case asJSON:
		lines(ctx, c, look, jsonLine)
	case Interactive(c, environ):
		out, _ := c.out.(*os.File)
		bars(ctx, c, styleOf(c, environ), &screen{out: out, size: sizeOf(out)}, look)
	default:
		lines(ctx, c, look, line)
	}
}

// lines writes a line every 5 s.
func lines(ctx context.Context, c *Console, look func() view.View, text func(*view.View) string) {
	var meter view.Meter
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	next := time.Now().Add(lineEvery)
	for {
		select {
		case now := <-tick.C:
			v := look()
			v.At = now
			meter.Measure(&v)
			if now.After(next) {
				next = next.Add(lineEvery)
				fmt.Fprintln(c, text(&v))
			}
		case <-ctx.Done():
			return
		}
	}
}

// bars draws a bar for each shard that there is room for, one for all of them, and what else there is to report. To mpb it is one bar
// with lines above it, so that the number of lines may change at every drawing, as shards and the window's height do.
func bars(ctx context.Context, c *Console, s style, screen *screen, look func() view.View) {
	container := mpb.New(mpb.WithConsoleWriter(screen), mpb.WithRefreshRate(drawEvery))
	bar, err := container.Add(0, mpb.BarFillerFunc(screen.last), mpb.BarFillerTrim(), mpb.BarTopExtender(screen.above()...))
	if err != nil {
		return // mpb fails only if the container has ended
	}
	c.show(container, screen.detached.Store)
	defer c.hide(func() {
		bar.Abort(false)
		container.Wait()
	})
	var meter view.Meter
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		v := look()
		v.At = time.Now()
		meter.Measure(&v)
		width, height := screen.size()
		drawn := s.frame(&v, width, height)
		screen.newest.Store(&drawn)
		if ctx.Err() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
