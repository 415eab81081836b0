package view

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"sluice/sink"
)

const (
	maxPoints   = 600 // of the history; of more, every second one is kept, and new ones are noted half as often
	maxWarnings = 20  // the last ones are kept
)

// Board holds the newest View. It is safe for concurrent use.
type Board struct {
	mu       sync.Mutex
	view     View
	meter    Meter
	history  []Point
	every    time.Duration
	warnings []Warning
	letters  []sink.ReasonCount
	rounds   []Round
	changed  chan struct{}
}

// NewBoard returns a board with a first View.
func NewBoard(v View) *Board {
	return &Board{view: v, every: time.Second, changed: make(chan struct{})}
}

// Publish makes v the newest View.
func (b *Board) Publish(v View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.measure(&v)
	b.view = v
	close(b.changed)
	b.changed = make(chan struct{})
}

// measure notes a point of the history, and sets the rates of v. A walk has a rate of its own: what comes after its last commit is no
// part of it, but the rests of a follow are.
func (b *Board) measure(v *View) {
	if v.Phase == Starting {
		return
	}
	n, goesOn := len(b.history), v.Phase == Ingesting || v.Phase == Waiting
	if n > 0 && !goesOn && b.history[n-1].Stored == v.Stored {
		b.meter.set(v)
	} else {
		if v.Phase == Ingesting && b.view.Phase != Ingesting {
			b.meter = Meter{}
		}
		b.meter.Measure(v)
		b.note(v, goesOn)
	}
	if v.Phase == Ended {
		v.Rate, v.Mean = 0, 0
		if n := len(b.history); n > 1 {
			v.Mean = perSecond(b.history[0], b.history[n-1])
		}
	}
}

// note adds a point to the history, unless it is too close to the last one.
func (b *Board) note(v *View, goesOn bool) {
	n := len(b.history)
	if n > 0 && goesOn && v.At.Sub(b.history[n-1].At) < b.every-b.every/10 {
		return
	}
	p := Point{At: v.At, Stored: v.Stored}
	for _, q := range v.Quotas {
		p.Recent, p.Allowed = append(p.Recent, q.Recent), append(p.Allowed, q.Limit)
	}
	if b.history = append(b.history, p); len(b.history) > maxPoints {
		b.thin()
	}
}

func (b *Board) thin() {
	kept := b.history[:0:0]
	for i := 0; i < len(b.history); i += 2 {
		kept = append(kept, b.history[i])
	}
	b.history, b.every = kept, 2*b.every
}

// Warn adds a warning.
func (b *Board) Warn(w Warning) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.warnings = append(b.warnings, w)
	b.warnings = b.warnings[max(0, len(b.warnings)-maxWarnings):]
}

// SetLetters sets the numbers of dead letters by reason.
func (b *Board) SetLetters(letters []sink.ReasonCount) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letters = letters
}

// SetRounds sets the last rounds, the newest first.
func (b *Board) SetRounds(rounds []Round) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rounds = rounds
}

// View returns the newest View, and a channel that is closed when there is a newer one.
func (b *Board) View() (View, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.view
	v.History = append([]Point(nil), b.history...)
	v.Warnings = append([]Warning(nil), b.warnings...)
	v.Letters, v.Rounds = b.letters, b.rounds
	return v, b.changed
}

// Watch returns a handler that passes records on to next, and also puts warnings and errors on the board.
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
