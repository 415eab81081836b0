package quota

import "slices"

// set is a set of a pacer's quotas, by their index.
type set uint64

const maxQuotas = 64

func (s set) has(i int) bool { return s&(1<<i) != 0 }

// waiter is a call of Take that waits for a slot.
//
// The channel carries no value, only the signal that it is worth trying again. A sync.Cond can't be waited for together with a
// context and a timer. A timer that other goroutines set off with Reset(0) could, but go1.26's race detector crashes on it in a
// synctest bubble: the runtime runs such a timer on the spot, beside those that are due.
type waiter struct {
	wants set
	again chan struct{} // holds at most one signal; nil until the waiter is in the queue
}

// waitQueue holds the waiters in the order of their calls.
type waitQueue []*waiter

// ahead reports whether a waiter before w waits for quota i. Then w must not take it; it is woken when that waiter leaves.
func (l waitQueue) ahead(w *waiter, i int) bool {
	for _, v := range l {
		if v == w {
			return false
		}
		if v.wants.has(i) {
			return true
		}
	}
	return false
}

// waits reports whether a waiter other than w waits for quota i.
func (l waitQueue) waits(i int, w *waiter) bool {
	return slices.ContainsFunc(l, func(v *waiter) bool { return v != w && v.wants.has(i) })
}

// enqueue puts w at the end, unless it is in the queue already, and notes what it wants.
func (l *waitQueue) enqueue(w *waiter, wants set) {
	switch {
	case w.again == nil:
		w.again = make(chan struct{}, 1)
		*l = append(*l, w)
	case w.wants != wants: // if it wants less than before, those behind it may go now
		defer l.wake()
	}
	w.wants = wants
}

// cancel removes w.
func (l *waitQueue) cancel(w *waiter) {
	if i := slices.Index(*l, w); i >= 0 {
		*l = slices.Delete(*l, i, i+1)
		l.wake()
	}
}

// wake signals the waiters that are the first for a quota. Those behind them may take nothing before they have left.
func (l waitQueue) wake() {
	var claimed set
	for _, w := range l {
		if w.wants&^claimed == 0 {
			continue
		}
		claimed |= w.wants
		select {
		case w.again <- struct{}{}:
		default:
		}
	}
}
