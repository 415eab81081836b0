package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"sluice/shard/failpoint"
)

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

	place    Position // where reading goes on
	begun    Key      // the resume point at which the last walk began
	strikes  int      // walks that began there before, and brought nothing
	replays  int      // walks of those that began with an answer from the API's cache
	rewound  bool
	rejected map[[32]byte]struct{} // all rejects seen
	claimed  bool                  // the walk before came to what looks like the end
	outside  bool                  // that was before it came to the place
	end      uuid.UUID             // the last record before it
	ended    Key                   // the resume point there
	confirms int                   // repeated reads of ends at that point

	trail // of the walk under way
}

func newWalk(a *Attempt, queue chan<- Batch) *walk {
	return &walk{Attempt: a, queue: queue, place: a.From.Position(), rejected: map[[32]byte]struct{}{}}
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
	for page, err := range w.Source.Pages(metered(ctx, w.Stats), w.place) {
		if err != nil {
			return "", cmp.Or(context.Cause(ctx), err)
		}
		w.Budget.saw(page.Bytes)
		w.Stats.read(&page)
		b, err := w.read(&page)
		if err != nil {
			return "", err
		}
		failpoint.Hit("page.read")
		b.grant = grant / int64(page.Rest+1)
		grant -= b.grant
		if err := w.emit(alive, b); err != nil {
			return "", err
		}
		switch {
		case b.Proof != "", page.ends():
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
	w.Edge.close()
	w.begun = w.place.Resume
	next := link{w.place.Cursor, w.place.CursorExpires}
	if next.cursor == "" {
		next = link{w.place.Previous, w.place.PreviousExpires}
	}
	w.trail = trail{visited: map[[16]byte]struct{}{}, lead: lead{next: next}}
}

// room takes memory for the next page.
func (w *walk) room(ctx context.Context) (int64, error) {
	w.Stats.enter(Queueing)
	defer w.Stats.enter(Fetching)
	return w.Budget.take(ctx)
}

// emit hands a page to the push half. It does not listen to the context of fetching: what was fetched is committed.
func (w *walk) emit(alive context.Context, b Batch) error {
	w.Stats.enter(Queueing)
	select {
	case w.queue <- b:
		failpoint.Hit("page.queued")
		return nil
	case <-alive.Done():
		w.Budget.give(b.grant)
		return context.Cause(alive)
	}
}
