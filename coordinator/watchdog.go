package coordinator

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"sluice/shard"
)

// watchdog ends a run that gets nowhere. Half way there it says what every shard waits for, while somebody can still mend it.
// While the operator holds the run it sleeps, and begins anew when he lets go.
type watchdog struct {
	patience time.Duration // without a committed page
	gate     *shard.Pause

	mu         sync.Mutex // over the names of the timers
	bark, bite *time.Timer
}

// watch starts the watchdog of a run.
func (c *Coordinator) watch(stop context.CancelCauseFunc) *watchdog {
	w := &watchdog{patience: c.config.GiveUpAfter, gate: c.config.Pause}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bark = time.AfterFunc(w.patience/2, w.unlessHeld(&w.bark, w.patience/2, func() { c.bark(w.patience) }))
	w.bite = time.AfterFunc(w.patience, w.unlessHeld(&w.bite, w.patience, func() {
		stop(fmt.Errorf("%w: nothing for %s; %s", ErrGaveUp, w.patience, strings.Join(c.Waiting(), "; ")))
	}))
	return w
}

// unlessHeld returns do, put off until so much time has passed since the run was held last.
func (w *watchdog) unlessHeld(timer **time.Timer, after time.Duration, do func()) func() {
	return func() {
		w.mu.Lock() // a timer may go off before it has its name
		defer w.mu.Unlock()
		if free := time.Since(w.gate.LastPaused()); free < after {
			(*timer).Reset(after - free)
			return
		}
		do()
	}
}

// calm starts the time anew: something was committed.
func (w *watchdog) calm() {
	w.bark.Reset(w.patience / 2)
	w.bite.Reset(w.patience)
}

func (w *watchdog) end() {
	w.bark.Stop()
	w.bite.Stop()
}

func (c *Coordinator) bark(patience time.Duration) {
	c.config.Log.Warn("no page was committed for a while", "since", patience/2, "giving_up_in", patience-patience/2)
	for _, words := range c.Waiting() {
		c.config.Log.Warn(words)
	}
}
