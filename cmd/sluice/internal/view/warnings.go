package view

import (
	"context"
	"log/slog"
	"strings"
)

// Watch returns a handler that hands everything on to next, and puts warnings and errors on the board, too.
func (b *Board) Watch(next slog.Handler) slog.Handler { return &watcher{next: next, board: b} }

type watcher struct {
	next  slog.Handler
	board *Board
	with  string // attributes of the logger, as text
}

func (w *watcher) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn || w.next.Enabled(ctx, l)
}

func (w *watcher) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		text := strings.Builder{}
		text.WriteString(r.Message)
		text.WriteString(w.with)
		r.Attrs(func(a slog.Attr) bool {
			text.WriteString(", " + a.String())
			return true
		})
		w.board.Warn(Warning{At: r.Time, Level: r.Level.String(), Text: text.String()})
	}
	if !w.next.Enabled(ctx, r.Level) {
		return nil
	}
	return w.next.Handle(ctx, r)
}

func (w *watcher) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := w.with
	for _, a := range attrs {
		with += ", " + a.String()
	}
	return &watcher{next: w.next.WithAttrs(attrs), board: w.board, with: with}
}

func (w *watcher) WithGroup(name string) slog.Handler {
	return &watcher{next: w.next.WithGroup(name), board: w.board, with: w.with}
}
