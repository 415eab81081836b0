package quota

import "slices"

// set is a set of a pacer's quotas, by their index.
type set uint64

const maxQuotas = 64

func (s set) has(i int) bool { return s&(1<<i) != 0 }

// quotaWaiter is a caller of Take that stands in line.
//
// The channel carries no value, only the news that it is worth looking again. A sync.Cond cannot be waited for
// together with a context and a timer. A timer that others set off with Reset(0) could, but go1.26's race detector
// crashes over it in a synctest bubble: the runtime runs such a timer on the spot, beside those that are just due.
type quotaWaiter struct {
	wants set
	again chan struct{} // holds at most one piece of news
}

// quotaLine is who waits, in the order in which they came.
type quotaLine []*quotaWaiter

// ahead tells whether somebody before w waits for quota i. Then w must not take it, and is woken when that one
// leaves.
func (l quotaLine) ahead(w *quotaWaiter, i int) bool {
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

// waits reports whether any waiter other than w waits for quota i.
func (l quotaLine) waits(i int, w *quotaWaiter) bool {
	return slices.ContainsFunc(l, func(v *quotaWaiter) bool { return v != w && v.wants.has(i) })
}

// join notes what w wants, who stands at the end if he is new.
func (l *quotaLine) join(w *quotaWaiter, wants set) {
	switch {
	case w.again == nil:
		w.again = make(chan struct{}, 1)
		*l = append(*l, w)
	case w.wants != wants: // those behind may go now, if he wants less
		defer l.wake()
	}
	w.wants = wants
}

func (l *quotaLine) leave(w *quotaWaiter) {
	if i := slices.Index(*l, w); i >= 0 {
		*l = slices.Delete(*l, i, i+1)
		l.wake()
	}
}

// wake lets those look again who are first in line for something. Behind them nobody may take anything before they
// have left.
func (l quotaLine) wake() {
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
