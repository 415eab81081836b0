package quota

import (
	"slices"
	"time"
)

// untilFree returns the time until the requests that stand in the way have left the server's log: of all that are known there
// may be as many as the server allows, of ours as many as we allow ourselves.
func (q *quota) untilFree(now time.Time) time.Duration {
	if q.limit == 0 || !q.sees() {
		return q.untilFreeUnseen(now)
	}
	all, ours := q.all[:0], q.ours[:0] // when those leave that are in there, whoever came in first
	for _, r := range slices.Backward(q.log) {
		if !r.at.After(now.Add(-2 * q.window)) { // no margin is as long as the window
			break
		}
		if left := q.leaves(r); left.After(now) {
			all = append(all, left)
			if r.origin != ofOthers {
				ours = append(ours, left)
			}
		}
	}
	q.all, q.ours = all, ours
	return max(untilFewer(ours, q.limit, now), untilFewer(all, q.ceiling, now))
}

// untilFewer returns the time until fewer than so many are left.
func untilFewer(leaving []time.Time, most int, now time.Time) time.Duration {
	if len(leaving) < most {
		return 0
	}
	slices.SortFunc(leaving, time.Time.Compare)
	return leaving[len(leaving)-most].Sub(now)
}

// untilFreeUnseen is the same where nobody knows when the server has seen them: they leave in the order in which they were sent.
func (q *quota) untilFreeUnseen(now time.Time) time.Duration {
	if q.limit <= 0 {
		return 0
	}
	var blocking time.Time
	if r := q.log.ours(q.limit); r != nil {
		blocking = r.at
	}
	if i := len(q.log) - q.ceiling; q.ceiling > 0 && i >= 0 {
		blocking = laterOf(blocking, q.log[i].at)
	}
	return blocking.Add(q.window + q.margin()).Sub(now)
}
