package quota

import "time"

// How the window is read from a Retry-After: the server rounds it up to whole seconds, and the network adds its
// jitter.
const (
	windowGrain   = time.Minute             // windows are multiples of it
	windowAbove   = 1900 * time.Millisecond // so much may be read too much
	windowBelow   = 900 * time.Millisecond  // or too little
	shortestGuess = guessWindow * 9 / 10    // what is shorter began with a request that was not ours
	gapSlack      = 1900 * time.Millisecond
)

// window finds the length of the server's sliding log from a refusal of a request sent at the given time. Retry-After
// is the time until the oldest request in the server's log leaves it, and the one before that has left it already: so
// the oldest is preceded by a gap as long as the Retry-After, or it is our first. Each such request is a candidate;
// the one that gives the window nearest to the guess is taken. The second result tells whether one was found.
func (l quotaLog) window(refused time.Time, retryAfter time.Duration) (time.Duration, bool) {
	best, found := guessWindow, false
	for i, r := range l.upTo(refused) {
		if i > 0 && r.at.Sub(l[i-1].at) < retryAfter-gapSlack {
			continue
		}
		w, snapped := whole(refused.Add(retryAfter).Sub(r.at), windowGrain)
		if snapped && w >= shortestGuess && w <= longestPause && (!found || (w-guessWindow).Abs() < (best-guessWindow).Abs()) {
			best, found = w, true
		}
	}
	return best, found
}

// whole rounds w to the grain; false where it is not near to it.
func whole(w, grain time.Duration) (time.Duration, bool) {
	above := w % grain
	if below := grain - above; below <= windowBelow {
		return w + below, true
	}
	return w - above, above <= windowAbove
}

// explain finds the shortest window, in whole minutes, for which one limit explains all that the server let through and all that it
// refused, and the most that it let through in one; zero where there is none. That is all there is to learn from where a
// refusal says nothing but no.
func (l quotaLog) explain(overshotAt time.Time) (window time.Duration, limit int) {
	for w := guessWindow; w <= longestPause; w += guessWindow {
		if most, fewest := l.bounds(w, overshotAt); most <= fewest {
			return w, most
		}
	}
	return 0, 0
}

// bounds returns the most requests in a window of which the last was let through, and the fewest that were in one when another was
// refused. What may be inside or outside of the window is taken for what makes less of a difference, and what is still under way
// for let through, as for counted.
func (l quotaLog) bounds(w time.Duration, overshotAt time.Time) (most, fewest int) {
	const jitter = time.Second
	fewest = len(l)
	for i, r := range l {
		switch {
		case r.origin == ofOthers, r.open && r.at.After(overshotAt):
		case r.refused:
			fewest = min(fewest, len(l[:i].after(r.at.Add(-w-jitter))))
		default:
			most = max(most, len(l[:i+1].after(r.at.Add(-w+jitter))))
		}
	}
	return most, fewest
}
