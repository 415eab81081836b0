package terminal

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
)

const (
	lookEvery = 500 * time.Millisecond
	lineEvery = 5 * time.Second
)

// Show draws what look returns until ctx ends, and once more then: bars where somebody looks at a terminal, a line every 5 s
// where nobody does, and such a line as a JSON object if asJSON. It returns after the last drawing.
func Show(ctx context.Context, c *Console, environ Environ, asJSON bool, look func() View) {
	switch {
	case asJSON:
		lines(ctx, c, look, (*rate).json)
	case Interactive(c, environ):
		out, _ := c.out.(*os.File)
		bars(ctx, c, styleOf(c, environ), &screen{out: out, size: sizeOf(out)}, look)
	default:
		lines(ctx, c, look, (*rate).line)
	}
}

func lines(ctx context.Context, c *Console, look func() View, words func(*rate, View, time.Time) string) {
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
				fmt.Fprintln(c, words(&r, v, now))
			}
		case <-ctx.Done():
			return
		}
	}
}

// bars draws one bar for each shard that there is room for, one for all of them, and what else there is to say. To mpb it is one
// bar with lines above it: so the number of lines may be another at every drawing, as shards and the window's height change.
func bars(ctx context.Context, c *Console, s style, screen *screen, look func() View) {
	container := mpb.New(mpb.WithConsoleWriter(screen), mpb.WithRefreshRate(lookEvery))
	bar, err := container.Add(0, mpb.BarFillerFunc(screen.last), mpb.BarFillerTrim(), mpb.BarTopExtender(screen.above()...))
	if err != nil {
		return // mpb refuses only where the container has ended
	}
	c.show(container, screen.part)
	defer c.hide(func() {
		bar.Abort(false)
		container.Wait()
	})
	watch(ctx, look, func(r *rate, v View, now time.Time) {
		width, height := screen.size()
		drawn := s.frame(r, v, now, width, height)
		screen.newest.Store(&drawn)
	})
}

// watch looks and draws until ctx ends, and once more then.
func watch(ctx context.Context, look func() View, draw func(*rate, View, time.Time)) {
	var r rate
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		v, now := look(), time.Now()
		r.add(now, v.Stored)
		draw(&r, v, now)
		if ctx.Err() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}
