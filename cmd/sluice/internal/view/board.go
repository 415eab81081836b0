package view

import (
	"sync"
	"time"
)

// Of the past the board keeps this many points: when it has more, it keeps every second one and notes half as often.
const mostPoints = 600

// mostWarnings is how many warnings are kept: the last ones.
const mostWarnings = 20

// Board holds the newest View. It may be read and written by anyone at any time.
type Board struct {
	mu       sync.Mutex
	view     View
	history  []Point
	every    time.Duration
	warnings []Warning
	letters  []Letters
	rounds   []Round
	changed  chan struct{}
}

// NewBoard returns a board on which v stands.
func NewBoard(v View) *Board {
	return &Board{view: v, every: time.Second, changed: make(chan struct{})}
}

// Publish puts v on the board, with the past and the warnings that the board knows.
func (b *Board) Publish(v View) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(&v)
	b.view = v
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *Board) note(v *View) {
	if v.Phase == Starting {
		return
	}
	n, goesOn := len(b.history), v.Phase == Ingesting || v.Phase == Waiting
	if n > 0 && goesOn && v.At.Sub(b.history[n-1].At) < b.every-b.every/10 {
		return
	}
	if n > 0 && b.history[n-1].Stored == v.Stored && !goesOn {
		return // what comes after the last commit is no part of the rate
	}
	p := Point{At: v.At, Stored: v.Stored}
	for _, q := range v.Quotas {
		p.Recent, p.Allowed = append(p.Recent, q.Recent), append(p.Allowed, q.Limit)
	}
	if b.history = append(b.history, p); len(b.history) > mostPoints {
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
	b.warnings = b.warnings[max(0, len(b.warnings)-mostWarnings):]
}

// SetLetters notes how many dead letters there are for each reason.
func (b *Board) SetLetters(letters []Letters) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letters = letters
}

// SetRounds notes the last rounds, the newest first.
func (b *Board) SetRounds(rounds []Round) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rounds = rounds
}

// View returns what stands on the board, and a channel that is closed when something else does.
func (b *Board) View() (View, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.view
	v.History = append([]Point(nil), b.history...)
	v.Warnings = append([]Warning(nil), b.warnings...)
	v.Letters, v.Rounds = b.letters, b.rounds
	return v, b.changed
}
