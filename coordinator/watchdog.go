package coordinator

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// watchdog ends a run that gets nowhere. Half way there it says what every shard waits for, while somebody can still mend it.
type watchdog struct {
	patience   time.Duration // without a committed page
	bark, bite *time.Timer
}

// watch starts the watchdog of a run.
func (c *Coordinator) watch(stop context.CancelCauseFunc) *watchdog {
	w := &watchdog{patience: c.config.GiveUpAfter}
	w.bark = time.AfterFunc(w.patience/2, func() { c.bark(w.patience) })
	w.bite = time.AfterFunc(w.patience, func() {
		stop(fmt.Errorf("%w: nothing for %s; %s", ErrGaveUp, w.patience, strings.Join(c.Waits(), "; ")))
	})
	return w
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
	for _, words := range c.Waits() {
		c.config.Log.Warn(words)
	}
}
