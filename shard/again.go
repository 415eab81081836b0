package shard

import (
	"context"
	"fmt"

	"github.com/google/uuid"
)

// maxStrikes is how many walks may start at the same resume point and bring nothing before the shard gives up.
const maxStrikes = 3

// maxReplays is how many of them may begin with a page from the API's cache, and not count.
const maxReplays = 8

// maxConfirms is how often an end is read again while the API keeps answering from its cache.
const maxConfirms = 8

// restart goes on from the resume point without the cursor, and with a request that no cached answer fits.
func (w *walk) restart(why error) error {
	led := w.place.Cursor != "" || w.place.Previous != ""
	switch {
	case w.begun != w.place.Resume:
		w.strikes, w.replays = 0, 0
	case w.cached && w.replays < maxReplays:
		w.replays++ // an old answer, whose cursor may be long dead, says nothing of the place
	case w.pages > 0 || !led:
		w.strikes++
	}
	if w.strikes >= maxStrikes {
		return w.stuck(why)
	}
	if w.pages > 0 {
		w.claimed = false
		w.place.Vary++
	}
	w.place.Cursor, w.place.Previous = "", ""
	w.Log.Debug("walk again from the resume point", "at", w.place.Resume.At, "why", why)
	return nil
}

func (w *walk) stuck(why error) error {
	err := fmt.Errorf("cannot advance beyond %s, %d walks from there brought nothing new: %w", w.at(), w.strikes, why)
	if !w.place.Resume.IsZero() {
		err = fmt.Errorf("cannot advance inside %s (record %s): %d walks from there died without getting further: %w",
			w.place.Resume.At, w.place.Resume.ID, w.strikes, why)
	}
	return &StuckError{Err: err, Limit: 1}
}

func (w *walk) at() Instant {
	if w.place.Resume.IsZero() {
		return w.place.End
	}
	return w.place.Resume.At
}

// confirmNext prepares to read the end again: the API has been seen to say "no more" too early. A repeated read must differ
// from the one before, because the API caches its answers.
func (w *walk) confirmNext() error {
	if reached := w.place.Resume; !reached.IsZero() && (w.ended.IsZero() || w.ended.Before(reached)) {
		w.ended, w.confirms = reached, 0
	}
	w.confirms++
	if w.confirms > maxConfirms {
		return &StuckError{Err: fmt.Errorf("the end at %s was not confirmed in %d reads", w.at(), maxConfirms), Limit: 3}
	}
	w.claimed, w.outside = true, w.skip
	if w.last != uuid.Nil {
		w.end = w.last
	}
	// The very last timestamp may be wrong: a read that begins there would meet nothing.
	w.place.Resume = w.begun
	if len(w.tail) == tailKeys {
		w.place.Resume = w.tail[0]
	}
	w.place.Cursor = ""
	w.place.Previous, w.place.PreviousExpires = w.lead.here.cursor, w.lead.here.expires
	w.place.Vary++
	return nil
}

// rewind begins the window anew, because the record to resume after is not there: its timestamp was wrong, or it is gone.
// Everything before it is read once more, and the key in the table removes it.
func (w *walk) rewind(alive context.Context) error {
	if w.rewound {
		return &StuckError{Err: fmt.Errorf("resume after %s at %s: %w", w.place.Resume.ID, w.place.Resume.At, errLost), Limit: maxStrikes}
	}
	w.Log.Warn("the record to resume after is gone: the window is read again", "window", w.From.Window, "at", w.place.Resume.At)
	w.rewound, w.claimed, w.strikes, w.confirms, w.ended = true, false, 0, 0, Key{}
	w.place = Position{End: w.From.Window.End, Vary: w.place.Vary + 1}
	return w.emit(alive, Batch{})
}
