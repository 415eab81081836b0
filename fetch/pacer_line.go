package fetch

import (
	"slices"
	"time"
)

// quotaWaiter is a caller of Take that stands in line. Its timer goes off when a slot opens, and is set off by whoever changes
// something: one timer does what a channel and a timer would, and no wake-up can be lost, because both are set under the
// Pacer's mutex.
type quotaWaiter struct {
	timer *time.Timer
	wants [2]bool
}

// quotaLine is who waits, in the order in which they came.
type quotaLine []*quotaWaiter

// ahead tells whether somebody before w waits for quota i. Then w must not take it, and is woken when that one leaves.
func (l quotaLine) ahead(w *quotaWaiter, i int) bool {
	for _, v := range l {
		if v == w {
			return false
		}
		if v.wants[i] {
			return true
		}
	}
	return false
}

// wait sets the timer of w, who joins at the end if he is new.
func (l *quotaLine) wait(w *quotaWaiter, wants [2]bool, d time.Duration) {
	if w.timer == nil {
		w.timer, w.wants = time.NewTimer(d), wants
		*l = append(*l, w)
		return
	}
	if w.wants != wants { // those behind may go now, if he wants less
		w.wants = wants
		l.wake()
	}
	w.timer.Reset(d)
}

func (l *quotaLine) leave(w *quotaWaiter) {
	if i := slices.Index(*l, w); i >= 0 {
		w.timer.Stop()
		*l = slices.Delete(*l, i, i+1)
		l.wake()
	}
}

// wake lets everybody look again.
func (l quotaLine) wake() {
	for _, w := range l {
		w.timer.Reset(0)
	}
}
