package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxStrikes is how many walks may start at the same resume point and bring nothing before the shard gives up.
const maxStrikes = 3

// maxConfirms is how often an end is read again while the API keeps answering from its cache.
const maxConfirms = 8

// maxEmpty is how many empty pages in a row may promise more.
const maxEmpty = 10

var (
	errLoop   = errors.New("the API led back to a page of the same walk")
	errLost   = errors.New("the record to resume after is not where it was")
	errIgnore = errors.New("the API ignored the place that was asked for")
)

// walk is the pull half of an attempt: one or several walks of the API's pages, each from where the last one got to.
type walk struct {
	*Attempt
	queue chan<- Batch

	place    Place // where reading goes on
	begun    Key   // the resume point at which the last walk began
	strikes  int   // walks that began there before, and brought nothing
	confirms int   // repeated reads of what looks like the end
	rewound  bool

	trail // of the walk under way
}

// trail is what one walk of pages has seen so far.
type trail struct {
	pages       int
	skip        bool   // what is newer than the place may still come
	seek        Key    // the resume point, until it was seen
	after       Key    // the last record that was in order
	older       int    // records at its end that are older than the window
	edge        string // the cursor that led to the page on which those begin
	edgeExpires time.Time
	fresh       bool // it brought a record beyond the place where it began
	empty       int  // empty pages in a row
	lead        lead
	visited     map[[16]byte]struct{} // last records of its pages
}

// lead is the cursor that led to the page under way, and the one that leads on from it.
type lead struct {
	here, next               string
	hereExpires, nextExpires time.Time
}

func newWalk(a *Attempt, queue chan<- Batch) *walk {
	return &walk{Attempt: a, queue: queue, place: a.From.Place()}
}

// run walks until the end is proven. alive ends when the other half has failed or work is to be dropped.
func (w *walk) run(ctx, alive context.Context) error {
	for {
		proof, err := w.once(ctx, alive)
		switch {
		case err == nil && proof != "":
			return nil
		case err == nil:
			err = w.confirmNext()
		case errors.Is(err, errLost):
			err = w.rewind(alive)
		case errors.Is(err, ErrCursorDead), errors.Is(err, errLoop), errors.Is(err, errIgnore):
			err = w.restart(err)
		}
		if err != nil {
			return err
		}
	}
}

// once walks from the place until the API promises no more, or the end is proven.
func (w *walk) once(ctx, alive context.Context) (Proof, error) {
	w.begin()
	grant, err := w.room(ctx)
	if err != nil {
		return "", err
	}
	defer func() { w.Budget.give(grant) }()
	for page, err := range w.Source.Pages(ctx, w.place) {
		if err != nil {
			return "", cmp.Or(context.Cause(ctx), err)
		}
		w.Budget.saw(page.Bytes)
		w.Meter.read(&page)
		b, err := w.read(&page)
		if err != nil {
			return "", err
		}
		b.grant = grant / int64(page.Rest+1)
		grant -= b.grant
		if err := w.emit(alive, b); err != nil {
			return "", err
		}
		switch {
		case b.Proof != "", !page.More && page.Rest == 0:
			return b.Proof, nil
		case page.Rest == 0:
			if grant, err = w.room(ctx); err != nil {
				return "", err
			}
		}
	}
	return "", &TransientError{Err: fmt.Errorf("walk from %s: %w", w.place.Resume.At, io.ErrUnexpectedEOF)}
}

func (w *walk) begin() {
	w.begun = w.place.Resume
	w.trail = trail{
		visited: map[[16]byte]struct{}{},
		lead:    lead{next: w.place.Cursor, nextExpires: w.place.CursorExpires},
	}
}

// room takes memory for the next page.
func (w *walk) room(ctx context.Context) (int64, error) {
	w.Meter.enter(Queueing)
	defer w.Meter.enter(Fetching)
	return w.Budget.take(ctx)
}

// emit hands a page to the push half. It does not listen to the context of fetching: what was fetched is committed.
func (w *walk) emit(alive context.Context, b Batch) error {
	w.Meter.enter(Queueing)
	select {
	case w.queue <- b:
		return nil
	case <-alive.Done():
		w.Budget.give(b.grant)
		return context.Cause(alive)
	}
}

// restart goes on from the resume point without the cursor, and with a request that no cached answer fits.
func (w *walk) restart(why error) error {
	led := w.place.Cursor != "" || w.place.Lead != ""
	if w.begun == w.place.Resume && (w.pages > 0 || !led) {
		w.strikes++
	} else {
		w.strikes = 0
	}
	if w.strikes >= maxStrikes {
		return w.stuck(why)
	}
	w.place.Cursor, w.place.Lead = "", ""
	if !errors.Is(why, ErrCursorDead) {
		w.place.Vary++
	}
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
	if w.fresh {
		w.confirms = 0
	}
	w.confirms++
	if w.confirms > maxConfirms {
		return &StuckError{Err: fmt.Errorf("the end at %s was not confirmed in %d reads", w.at(), maxConfirms), Limit: 3}
	}
	w.place.Cursor = ""
	w.place.Lead, w.place.LeadExpires = w.lead.here, w.lead.hereExpires
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
	w.rewound, w.strikes = true, 0
	w.place = Place{End: w.From.Window.End, Vary: w.place.Vary + 1}
	return w.emit(alive, Batch{})
}
