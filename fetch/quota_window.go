package fetch

import "time"

// How the window is read from a Retry-After: the server rounds it up to whole seconds, and the network adds its
// jitter.
const (
	windowGrain   = 5 * time.Second         // windows are multiples of it
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
		w := wholeWindow(refused.Add(retryAfter).Sub(r.at))
		if w >= shortestGuess && w <= longestPause && (!found || (w-guessWindow).Abs() < (best-guessWindow).Abs()) {
			best, found = w, true
		}
	}
	return best, found
}

// wholeWindow rounds w to the grain where it is near to it.
func wholeWindow(w time.Duration) time.Duration {
	if above := w % windowGrain; above <= windowAbove {
		return w - above
	} else if below := windowGrain - above; below <= windowBelow {
		return w + below
	}
	return w
}
