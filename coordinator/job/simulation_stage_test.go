package job_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"
)

// stage lets one thing happen at a time. testing/synctest makes time virtual, but which of two goroutines comes first is still
// left to the machine. So everything that can be seen from outside (a request on its way, a statement to the database) waits
// here for its turn: once all goroutines stand still, each newcomer draws how long it takes, in the order of the names, and the
// first in time goes on alone. The same seed, the same run.
type stage struct {
	dice   *rand.Rand
	before func(next *entrance) (gone bool) // called before each turn; gone: next will not have it

	mu      sync.Mutex
	fresh   []*entrance
	waiting []*entrance
	news    chan struct{}
	steps   int
	text    bytes.Buffer
	began   time.Time
}

// entrance is somebody who waits for his turn.
type entrance struct {
	name string // unique among those who wait
	of   *process
	most time.Duration
	last func() // what may happen although its process was killed
	due  time.Time
	turn chan struct{}
	gone bool
}

func newStage(dice *rand.Rand) *stage {
	return &stage{dice: dice, news: make(chan struct{}, 1), began: time.Now()}
}

// enter waits for the turn, unless ctx ends first.
func (s *stage) enter(ctx context.Context, e *entrance) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e.turn = make(chan struct{})
	s.mu.Lock()
	s.fresh = append(s.fresh, e)
	s.mu.Unlock()
	select {
	case s.news <- struct{}{}:
	default:
	}
	select {
	case <-e.turn:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.gone = true
	return context.Cause(ctx)
}

// run gives turns until stop is closed and nobody waits any more.
func (s *stage) run(stop <-chan struct{}) {
	stopped := false
	for {
		synctest.Wait()
		next := s.next()
		if next != nil && !next.due.After(time.Now()) {
			if s.before == nil || !s.before(next) {
				s.give(next)
			}
			continue
		}
		if next == nil && stopped {
			return
		}
		wait := 10_000 * time.Hour
		if next != nil {
			wait = time.Until(next.due)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.news:
		case <-stop:
			stop, stopped = nil, true
		}
		timer.Stop()
	}
}

// next lets the newcomers draw, and returns who comes first.
func (s *stage) next() *entrance {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.fresh, func(a, b *entrance) int { return cmp.Compare(a.name, b.name) })
	for _, e := range s.fresh {
		e.due = time.Now().Add(1 + time.Duration(s.dice.Int64N(int64(max(e.most, time.Microsecond)))))
	}
	s.waiting = append(s.waiting, s.fresh...)
	s.fresh = s.fresh[:0]
	s.waiting = slices.DeleteFunc(s.waiting, func(e *entrance) bool { return e.gone })
	if len(s.waiting) == 0 {
		return nil
	}
	return slices.MinFunc(s.waiting, func(a, b *entrance) int { return a.due.Compare(b.due) })
}

func (s *stage) give(e *entrance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps++
	s.waiting = slices.DeleteFunc(s.waiting, func(o *entrance) bool { return o == e })
	close(e.turn)
}

// taken returns how many turns were taken.
func (s *stage) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steps
}

// of returns those of a process who wait, by name.
func (s *stage) of(p *process) []*entrance {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*entrance
	for _, e := range s.waiting {
		if e.of == p && !e.gone {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entrance) int { return cmp.Compare(a.name, b.name) })
	return all
}

// say adds a line to the log of what happened, which two runs of a seed must have in common.
func (s *stage) say(format string, args ...any) {
	if len(args) > 0 && args[0] == "" { // it had no turn, and so it has no place in the order
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(&s.text, "%12.6f ", time.Since(s.began).Seconds())
	fmt.Fprintf(&s.text, format, args...)
	s.text.WriteByte('\n')
}
