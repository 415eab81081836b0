package coordinator

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// watchdog stops a run that gets nowhere. Halfway there it warns of what every shard waits for, while there is still time to
// fix it. Time begins anew with every commit, and when a pause by the operator ends.
type watchdog struct {
	c *Coordinator

	mu     sync.Mutex
	last   time.Time // commit, or the start of the run
	warned bool      // since then
	ended  bool
	timer  *time.Timer
}

// watch starts the watchdog of a run.
func (c *Coordinator) watch() *watchdog {
	w := &watchdog{c: c, last: time.Now()}
	w.mu.Lock() // the timer may fire before it is assigned
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(c.config.GiveUpAfter/2, w.look)
	return w
}

// look runs when the time to warn or to stop may have come.
func (w *watchdog) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	patience := w.c.config.GiveUpAfter
	last := w.last
	if paused := w.c.config.Pause.LastPaused(); paused.After(last) {
		last = paused
	}
	switch idle := time.Since(last); {
	case idle < patience/2:
		w.warned = false
		w.timer.Reset(patience/2 - idle)
	case idle < patience:
		w.timer.Reset(patience - idle)
		if w.warned {
			return
		}
		w.warned = true
		w.c.config.Log.Warn("no page was committed for a while", "since", patience/2, "giving_up_in", patience-patience/2)
		for _, words := range w.c.Waiting() {
			w.c.config.Log.Warn(words)
		}
	default:
		w.c.stop(fmt.Errorf("%w: nothing for %s; %s", ErrGaveUp, patience, strings.Join(w.c.Waiting(), "; ")))
	}
}

// committed starts the time anew.
func (w *watchdog) committed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now()
}

func (w *watchdog) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timer.Stop()
}
