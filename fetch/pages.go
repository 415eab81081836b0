package fetch

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// Pages walks from a position towards the past. See shard.Source.
func (c *Client) Pages(ctx context.Context, from shard.Position) iter.Seq2[shard.Page, error] {
	return func(yield func(shard.Page, error) bool) {
		q, pages := c.api.First(from)
		q.Stored = q.Start == shard.ByCursor
		for {
			var err error
			switch {
			case len(pages) > 0:
			case q.Stored:
				pages, err = c.askStored(ctx, &q)
			default:
				pages, err = c.Ask(ctx, &q)
			}
			if err != nil {
				yield(shard.Page{}, err)
				return
			}
			for _, page := range pages {
				if !yield(page, nil) {
					return
				}
			}
			last := pages[len(pages)-1]
			switch {
			case !last.More:
				return
			case last.Cursor == "":
				yield(shard.Page{}, fmt.Errorf("%w: the API promises more and gives no cursor", shard.ErrCursorDead))
				return
			}
			q = Question{Start: shard.ByCursor, Cursor: last.Cursor, Expires: last.CursorExpires, Max: c.fitting(&q, pages)}
			pages = nil
		}
	}
}

// storedTries is how often a question with a stored cursor is put, each time with the tries of Ask, before the cursor is given up.
const storedTries = 3

// askStored is Ask for a cursor that is not of this walk. An API may answer a cursor that it has forgotten with anything, for ever: a few
// faulty answers mean that it is dead. Faults of the network say nothing about it.
func (c *Client) askStored(ctx context.Context, q *Question) ([]shard.Page, error) {
	for try := 1; ; try++ {
		pages, err := c.Ask(ctx, q)
		var faulty *answerError
		var transient *shard.TransientError
		switch {
		case !errors.As(err, &faulty) || !errors.As(err, &transient):
			return pages, err
		case try == storedTries:
			return nil, fmt.Errorf("%w: %w", shard.ErrCursorDead, err)
		}
		if err := c.pause(ctx, q, try+c.config.Tries); err != nil {
			return nil, err
		}
	}
}

// pause waits after a try at a question.
func (c *Client) pause(ctx context.Context, q *Question, try int) error {
	c.retries.Add(1)
	shard.EnterPhase(ctx, shard.BackingOff)
	defer shard.EnterPhase(ctx, shard.Fetching)
	return shard.Sleep(ctx, c.Backoff(q, try))
}

// answerError is a fault that an answer showed.
type answerError struct{ error }

func (e *answerError) Unwrap() error { return e.error }

// Ask gets one page, in pieces if it is large. It retries what is worth it; reading and decoding are part of a try. A page
// that is too large for a body is asked for in smaller ones, and q.Max then says how small.
func (c *Client) Ask(ctx context.Context, q *Question) ([]shard.Page, error) {
	for try := 1; ; try++ {
		pages, err := c.try(ctx, *q)
		for errors.Is(err, ErrLarge) && c.halve(q) {
			pages, err = c.try(ctx, *q)
		}
		var transient *shard.TransientError
		if err == nil || !errors.As(err, &transient) || try >= c.config.Tries || transient.After > 0 {
			return pages, err
		}
		c.config.Log.Debug("page request failed, trying again", "try", try, "err", err)
		if err := c.pause(ctx, q, try); err != nil {
			return nil, err
		}
	}
}

// Backoff draws the pause after the given try at a question, the first being 1: from 0.5 to 1.5 times 100 ms, doubled with each
// try. It depends on the client's seed and the question alone, not on what others ask meanwhile.
func (c *Client) Backoff(q *Question, try int) time.Duration {
	return time.Duration((0.5 + c.Draw(q, try)) * float64(100*time.Millisecond) * float64(int(1)<<try))
}

// Draw returns a number from 0 to 1, always the same for the same question, purpose and seed.
func (c *Client) Draw(q *Question, purpose int) float64 {
	h := fnv.New64a()
	fmt.Fprint(h, q.Cursor, q.Until, purpose)
	return rand.New(rand.NewPCG(c.config.Seed, h.Sum64())).Float64()
}

// maxAgain is how often a question may be put again at once.
const maxAgain = 8

// try puts a question once. Refusals for lack of quota do not count: they are waited out, and the question is put again.
func (c *Client) try(ctx context.Context, q Question) ([]shard.Page, error) {
	for again := 0; ; {
		slot, req, err := c.admit(ctx, &q)
		if err != nil {
			return nil, err
		}
		failpoint.Hit("quota.taken")
		a, err := c.send(ctx, req, slot)
		if err != nil {
			return nil, err
		}
		if a.refused {
			c.config.Log.Debug("refused for lack of quota", "endpoint", a.Door, "retry_after", a.retryAfter)
			a.Free()
			continue
		}
		a.Again = again
		pages, err := c.read(&q, a, slot)
		a.Free()
		if !errors.Is(err, ErrAgain) {
			return pages, err
		}
		if again++; again > maxAgain {
			return nil, fmt.Errorf("put %d times in a row: %w", again, err)
		}
	}
}

// admit waits until a door has quota for the question, takes it, and returns the request for that door.
func (c *Client) admit(ctx context.Context, q *Question) (quota.Slot, *Request, error) {
	for {
		doors, err := c.api.Doors(ctx, q)
		switch {
		case err != nil:
			return quota.Slot{}, nil, err
		case q.dead():
			return quota.Slot{}, nil, shard.ErrCursorDead
		}
		shard.EnterPhase(ctx, shard.Pacing)
		slot, err := c.pacer.Take(ctx, func(name string) bool { return slices.Contains(doors, shard.Endpoint(name)) })
		shard.EnterPhase(ctx, shard.Fetching)
		if err != nil {
			return quota.Slot{}, nil, err
		}
		var req *Request
		if err = shard.ErrCursorDead; !q.dead() {
			req, err = c.api.Request(ctx, q, shard.Endpoint(slot.Quota), c.records(q))
		}
		if err == nil {
			return slot, req, nil
		}
		c.pacer.Return(slot)
		if !errors.Is(err, ErrShut) {
			return quota.Slot{}, nil, err
		}
	}
}

// send makes the request for a slot and tells the pacer what became of it, exactly once.
func (c *Client) send(ctx context.Context, req *Request, slot quota.Slot) (*Answer, error) {
	door := c.door(shard.Endpoint(slot.Quota))
	door.requests.Add(1)
	w := wire{pacer: c.pacer, slot: slot}
	req.Request = w.prepare(ctx, req.Request)
	a, err := c.roundTrip(req, c.bodyLimit(), w.heard)
	if err != nil {
		w.failed()
		return nil, tooLarge(err)
	}
	a.Door = shard.Endpoint(slot.Quota)
	said := c.api.Quota(a)
	c.pacer.Observe(slot, said)
	if a.refused, a.retryAfter = said.Refused, said.RetryAfter; a.refused {
		door.refused.Add(1)
	}
	c.bytes.Add(int64(len(a.Body())))
	if a.Status == http.StatusOK {
		c.sized(int64(len(a.Body())))
	}
	c.busy.Add(int64(a.Took))
	return a, nil
}

// tooLarge makes an error that stays of a body that is too large: it would be so again.
func tooLarge(err error) error {
	var transient *shard.TransientError
	if errors.Is(err, ErrLarge) && errors.As(err, &transient) {
		return &shard.StuckError{Err: transient.Err, Limit: PoisonLimit}
	}
	return err
}

// PoisonLimit is how often in a row a page may be unreadable in the same way before its shard fails.
const PoisonLimit = 5

// read turns an answer into pages, and remembers what it says about page sizes and clocks.
func (c *Client) read(q *Question, a *Answer, slot quota.Slot) ([]shard.Page, error) {
	page, err := c.api.Page(q, a)
	if err != nil {
		return nil, &answerError{err}
	}
	failpoint.Hit("page.decoded")
	page.Start, page.Endpoint, page.Bytes = q.Start, a.Door, len(a.Body())
	if q.Vary == 0 && page.More {
		c.given.Store(int64(page.Received))
	}
	if granted := int64(max(page.Limit, page.Received)); page.Limit > 0 && granted > c.granted.Load() {
		c.granted.Store(granted) // a figure below what came with it is a mistake, and would stay one: no more would be asked for
	}
	if page.Cached {
		c.cached.Add(1)
	}
	if date, err := http.ParseTime(a.Header.Get("Date")); err == nil {
		offset := date.Sub(a.at)
		c.offset.Store(&offset)
	}
	if !page.Seen.IsZero() && !page.Cached { // a page from the cache was stamped when it was made
		c.pacer.Stamped(slot, page.Seen)
	}
	return pieces(page.Page), nil
}

// pieceEvents is how many events of a large response make one page.
const pieceEvents = 5000

// pieces cuts a large response into pages of at most pieceEvents events. Only the last has the cursor.
func pieces(whole shard.Page) []shard.Page {
	if len(whole.Events) <= pieceEvents {
		return []shard.Page{whole}
	}
	var cut []shard.Page
	for from := 0; from < len(whole.Events); from += pieceEvents {
		piece := whole
		piece.Events = whole.Events[from:min(from+pieceEvents, len(whole.Events))]
		piece.Rejects, piece.Received = nil, len(piece.Events)
		piece.Cursor, piece.CursorExpires, piece.More = "", time.Time{}, true
		if from > 0 {
			piece.Start = shard.ByCursor
		}
		cut = append(cut, piece)
	}
	last := &cut[len(cut)-1]
	last.Rejects, last.Received = whole.Rejects, len(last.Events)+len(whole.Rejects)
	last.Cursor, last.CursorExpires, last.More = whole.Cursor, whole.CursorExpires, whole.More
	for i := range cut {
		cut[i].Rest = len(cut) - 1 - i
	}
	return cut
}
