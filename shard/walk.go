package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"sluice/shard/failpoint"
)

// A walk that gets nowhere ends with a StuckError after this many:
const (
	maxEmpty    = 10 // empty pages in a row, each promising more
	maxStrikes  = 3  // passes from the same resume point that bring nothing
	maxReplays  = 8  // of those, passes that begin with a page from the API's cache; they are not strikes
	maxConfirms = 8  // reads of one end that the API keeps answering from its cache
)

var (
	errLoop    = errors.New("the API led back to a page of the same walk")
	errLost    = errors.New("the record to resume after is not where it was")
	errIgnored = errors.New("the API ignored the position that was requested")
	// errBeginning: the first page does not show what stands before the window, and the window has to be read from further up.
	errBeginning = errors.New("the page does not show the window's beginning")
)

// walk is the pull half of an attempt: one or more passes over the API's pages, each from where the last one got to.
type walk struct {
	*Attempt
	queue chan<- Batch

	pos      Position              // where reading continues
	point    Key                   // the resume point; reading an end again begins elsewhere
	asked    Key                   // the record after which the pass under way began
	begun    Key                   // the resume point at which the pass under way began
	starts   []Key                 // resume points of its instant at which passes began
	strikes  int                   // passes that began there and brought nothing
	replays  int                   // passes that began there with a page from the API's cache
	defied   bool                  // one of them brought a page that did not lie where it should
	rewinds  int                   // how often the window was read again from its end
	rejected map[[32]byte]struct{} // SHA-256 of every reject seen
	size     int                   // records in the largest page

	// An end of the data that the API claimed in the pass before. It is believed when another request confirms it.
	claimed   bool
	outside   bool          // that pass ended before it came to the position, or met the resume point
	known     map[mark]bool // events that reads of that end have shown; true if the last response did
	landmarks []Key         // events around that end that count as shown by the last response
	agains    []Key         // the records at which it may be read again
	stale     bool          // the API answered that from its cache: it may be an old lie, and the next may be another
	bare      bool          // that response had no event
	endedAt   Key           // the resume point there
	confirms  int           // reads of that end so far

	pass
}

// pass is what one pass over the pages has seen so far.
type pass struct {
	pages    int
	by       Start   // how the first page was requested
	cached   bool    // the first page came from the API's cache
	skip     bool    // records that stand before the position may still come
	seek     Key     // the resume point until it is met, then zero
	news     bool    // when an end is read again: a record came that the last response had not
	met      int     // and records that it had
	atEnd    bool    // one of these stood before the position
	tail     []Key   // the last solid keys
	later    Key     // the last resume point, if it needs the next page to be believed
	stride   Instant // time from the first to the last record of the last page
	widest   Instant // jump so far
	far      int     // records in order since the first jump that too few of them confirm
	latest   Key     // the last record in order
	plain    int     // records in order of the page before the first jump
	beyond   int     // events of the page up to the record to resume after, which was met there
	jumped   bool    // there was a jump; since then:
	agree    int     // records in order
	strays   int     // records of pages that do not follow what was read
	older    int     // records that look older than the window, and do not prove it yet
	oldest   Instant // of them
	held     []Event // of them, those that are not stored
	anchor   link    // led to the page on which held begins
	proven   bool    // the end, by records older than the window
	empty    int     // empty pages in a row
	last     Key     // the last record so far
	lastMark mark    // of it
	prior    Key     // the last record before the response under way
	got      int     // records of the response under way
	events   int     // of them
	marks    []mark  // of these events, and of some before them
	here     link    // led to the response under way
	next     link    // leads on from it
	inside   bool    // more pieces of the response follow
	visited  map[mark]struct{}
}

// link is a cursor of the API, and when it expires.
type link struct {
	cursor  string
	expires time.Time
}

// run makes passes until the end of the window is proven. alive ends when the push half has failed or work is to be dropped.
func (w *walk) run(ctx, alive context.Context) error {
	w.pos, w.point, w.rejected = w.From.Position(), w.From.Resume, map[[32]byte]struct{}{}
	for {
		proof, err := w.onePass(ctx, alive)
		switch {
		case err == nil && proof != "":
			return nil
		case err == nil:
			err = w.confirmNext()
		case errors.Is(err, errLost):
			err = w.rewind(alive)
		case errors.Is(err, errBeginning):
			w.pos.Slack, err = furtherThan(w.pos.Slack), nil
		case errors.Is(err, ErrCursorDead), errors.Is(err, errLoop), errors.Is(err, errIgnored):
			err = w.restart(err)
		}
		if err != nil {
			return err
		}
	}
}

// onePass reads from the position until the API promises no more or the end is proven.
func (w *walk) onePass(ctx, alive context.Context) (Proof, error) {
	w.Edge.close()
	w.begun, w.asked = w.point, w.pos.Resume
	next := link{w.pos.Cursor, w.pos.CursorExpires}
	if next.cursor == "" {
		next = link{w.pos.Previous, w.pos.PreviousExpires}
	}
	w.pass = pass{visited: map[mark]struct{}{}, next: next, jumped: w.claimed && w.jumped}
	grant, err := w.reserve(ctx)
	if err != nil {
		return "", err
	}
	defer func() { w.Budget.give(grant) }()
	for page, err := range w.Source.Pages(w.Budget.extending(measured(ctx, w.Stats), &grant), w.pos) {
		if err != nil {
			return "", cmp.Or(context.Cause(ctx), err)
		}
		w.Budget.saw(int64(page.Bytes))
		w.Stats.Pages.Add(1)
		b, err := w.judge(&page)
		if err != nil {
			return "", err
		}
		failpoint.Hit("page.read")
		if page.Rest == 0 || b.Proof != "" { // the pieces of a response lie in one piece of memory
			b.grant, grant = grant, 0
		}
		if err := w.emit(alive, b); err != nil {
			return "", err
		}
		switch {
		case b.Proof != "", page.ends():
			return b.Proof, nil
		case page.Rest == 0:
			if grant, err = w.reserve(ctx); err != nil {
				return "", err
			}
		}
	}
	return "", &TransientError{Err: fmt.Errorf("walk from %s: %w", w.pos.Resume.At, io.ErrUnexpectedEOF)}
}

// reserve takes memory for the next page.
func (w *walk) reserve(ctx context.Context) (int64, error) {
	w.Stats.enter(Queueing)
	defer w.Stats.enter(Fetching)
	return w.Budget.take(ctx)
}

// emit hands a page to the push half. It ignores the context of fetching, because everything fetched is to be committed.
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

// restart prepares a pass from the resume point without a cursor, and with a request that no cached answer fits.
func (w *walk) restart(why error) error {
	led := w.pos.Cursor != "" || w.pos.Previous != ""
	switch {
	case w.advanced():
		w.strikes, w.replays, w.defied = 0, 0, false
	case w.cached && w.replays < maxReplays:
		w.replays++ // an old answer, whose cursor may be long dead, says nothing about the position
	case w.pages > 0 || !led:
		w.strikes++
	}
	if w.strikes >= maxStrikes {
		where := w.at().String()
		if !w.pos.Resume.IsZero() {
			where += fmt.Sprintf(" (record %s)", w.pos.Resume.ID)
		}
		return &StuckError{Err: fmt.Errorf("cannot advance beyond %s, %d passes from there brought nothing new: %w", where, w.strikes, why), Limit: 1}
	}
	if w.pages > 0 {
		w.claimed = false
		w.pos.Vary++
	}
	w.defied = w.defied || errors.Is(why, errIgnored)
	w.pos.Cursor, w.pos.Previous = "", ""
	w.Log.Debug("reading again from the resume point", "at", w.pos.Resume.At, "why", why)
	return nil
}

// advanced reports whether the pass has moved the resume point, and not to one of the same instant at which a pass has begun before:
// among many of one instant, in pages that follow no cursor, they would take turns for ever.
func (w *walk) advanced() bool {
	if w.point.At != w.begun.At {
		w.starts = nil
	}
	if w.begun == w.point || slices.Contains(w.starts, w.point) {
		return false
	}
	w.starts = append(w.starts, w.point)
	return true
}

// at returns the instant of the position, for messages.
func (w *walk) at() Instant {
	if w.pos.Resume.IsZero() {
		return w.pos.End
	}
	return w.pos.Resume.At
}

// cacheLife is longer than the API's cache shows a page.
const cacheLife = 31 * time.Second

// maxKnown bounds what is remembered of an end. A walk that goes on far beyond it has been told a lie.
const maxKnown = 100_000

// confirmNext prepares a pass that reads the end again, because the API has been seen to say "no more" too early. Its request
// must differ from the one before, because the API caches its answers.
func (w *walk) confirmNext() error {
	reached := w.point
	if w.far > 0 {
		reached = w.latest
	}
	if !reached.IsZero() && (w.endedAt.IsZero() || w.endedAt.Before(reached)) {
		w.endedAt, w.confirms = reached, 0
	}
	w.confirms++
	if w.confirms > maxConfirms {
		stuck := &StuckError{Err: fmt.Errorf("the end at %s was not confirmed in %d reads", w.at(), maxConfirms), Limit: 3}
		if w.cached { // small pages allow few different requests, and the API remembers its answers to all of them
			stuck.After = cacheLife
		}
		return stuck
	}
	again := w.claimed
	w.claimed, w.outside = true, w.skip || !w.seek.IsZero()
	w.bare = w.events == 0
	if !again || len(w.known) > maxKnown {
		w.known = make(map[mark]bool, len(w.marks))
	}
	for m := range w.known {
		w.known[m] = false
	}
	for i, m := range w.marks {
		w.known[m] = i >= len(w.marks)-w.events
	}
	w.landmarks = slices.DeleteFunc(slices.Concat(w.tail, w.agains), func(key Key) bool {
		return key.IsZero() || key == w.From.Resume // another life may have read that
	})
	w.pos.Resume, w.agains = w.agains[0], w.agains[1:]
	if w.cached { // as other shards may have left it that read the same end
		w.pos.Slack += time.Duration(1+w.From.ID%16) * time.Millisecond
	}
	w.pos.Cursor = ""
	w.pos.Previous, w.pos.PreviousExpires = w.here.cursor, w.here.expires
	w.pos.Vary++
	return nil
}

// maxRewinds is how often a walk reads its window again from the end. Each time it chooses its resume points otherwise.
const maxRewinds = 3

// rewind starts the window anew, because the record to resume after is missing: its timestamp was wrong, or it is gone. First the
// record is looked for a minute higher, in case the API rounds timestamps. Everything before it is read once more, and the key of the
// table removes the duplicates.
func (w *walk) rewind(alive context.Context) error {
	if w.claimed && !w.outside && len(w.agains) > 0 {
		w.pos.Resume, w.agains = w.agains[0], w.agains[1:]
		w.pos.Vary++
		return nil
	}
	if w.by == ByUntil && w.pos.Slack == 0 && !w.claimed {
		w.pos.Slack, w.pos.Cursor, w.pos.Previous = furtherThan(0), "", ""
		return nil
	}
	if w.rewinds == maxRewinds {
		return &StuckError{Err: fmt.Errorf("resume after %s at %s: %w", w.pos.Resume.ID, w.pos.Resume.At, errLost), Limit: maxStrikes}
	}
	w.Log.Warn("the record to resume after is gone: reading the window again", "window", w.From.Window, "at", w.pos.Resume.At)
	w.rewinds++
	w.claimed, w.strikes, w.confirms, w.endedAt = false, 0, 0, Key{}
	w.pos, w.point = Position{End: w.From.Window.End, Vary: w.pos.Vary + 1}, Key{}
	return w.emit(alive, Batch{})
}
