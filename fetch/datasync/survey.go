package datasync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/fetch"
	"sluice/shard"
	"sluice/shard/failpoint"
)

// maxProbes is how many requests the search for the oldest event may take.
const maxProbes = 12

// nearEnough is the share of all events that may lie beyond the oldest one found. The oldest window is open to the past, so
// only the balance of the windows depends on it.
const nearEnough = 0.01

// survey is a search under way.
type survey struct {
	*Client
	before  int64 // page requests before it began
	found   shard.Survey
	from    shard.Instant  // beginning of the span, if that is known
	inside  shard.Instant  // there are events up to here
	outside shard.Instant  // there are none at and before this
	next    fetch.Question // asks for the page after the last one
	why     string         // the reason of the first record that could not be read
}

// Survey finds out what the API can do and which span its events fill, with at most 14 page requests if the newest page can be
// read. If the span's beginning is known, three are enough; from is shard.Past if it is not. The newest page is kept for the walk
// that begins there.
func (c *Client) Survey(ctx context.Context, from shard.Instant) (found shard.Survey, err error) {
	defer func() {
		caps := c.Capabilities()
		found.PageSize, found.Step = caps.PageSize, caps.Step()
	}()
	s := &survey{Client: c, before: c.Requests(), found: shard.Survey{Total: -1}, from: from, outside: shard.Past}
	if err := s.openStream(ctx); err != nil {
		return s.found, err
	}
	if err := s.top(ctx); err != nil || s.found.Empty {
		return s.found, err
	}
	if err := s.findUntil(ctx); err != nil {
		return s.found, err
	}
	if err = s.findOldest(ctx); err == nil {
		err = s.tryList(ctx)
	}
	c.ladder.set(func(caps *Capabilities) { caps.PageSize = c.Granted() })
	return s.found, err
}

// openStream asks for access to the stream. A refusal is believed when it comes again.
func (s *survey) openStream(ctx context.Context) error {
	var stop *shard.StopError
	_, err := s.tokens.get(ctx, 0)
	for errors.Is(err, errStreamRefused) && !s.tokens.shutOut() {
		if err := shard.Sleep(ctx, requestedPause(err)); err != nil {
			return err
		}
		_, err = s.tokens.get(ctx, 0)
	}
	if errors.As(err, &stop) {
		return err
	}
	refused := errors.Is(err, errStreamRefused)
	s.ladder.set(func(caps *Capabilities) { caps.StreamAccess, caps.MadeCursors = !refused, s.ladder.made })
	if refused {
		s.log.Warn("the stream is out of reach, the list goes on alone", "why", err)
	}
	return nil
}

// maxUnreadable is how many pages without a readable event may stand before the newest one.
const maxUnreadable = 5

// top reads the newest page, and the next ones as long as none of their records can be read.
func (s *survey) top(ctx context.Context) error {
	for q := (fetch.Question{Start: shard.FromTop}); ; q = s.next {
		events, more, err := s.probe(ctx, q)
		switch {
		case err != nil:
			return err
		case len(events) > 0:
			s.found.Total = s.total.Load()
			s.found.Newest = events[0].At
			s.inside = s.found.Newest
			s.reach(events, more)
			return nil
		case !more:
			s.found.Total, s.found.Empty = s.total.Load(), true
			return nil
		case s.found.Requests >= maxUnreadable || s.next.Cursor == "":
			return fmt.Errorf("none of the records in the newest %d pages can be read (the first reason is %q): is this the API that Sluice is made for?",
				s.found.Requests, s.why)
		}
	}
}

// reach notes a page with events.
func (s *survey) reach(events []shard.Event, more bool) {
	oldest := shard.OldestInOrder(events)
	s.found.Samples = append(s.found.Samples, shard.Sample{From: oldest, To: events[0].At, Events: len(events)})
	s.inside = min(s.inside, oldest)
	if !more {
		s.outside = s.inside
	}
}

// findUntil finds out which endpoint can be asked by timestamp. The stream is the better one for that, so the list is tried only
// if the stream cannot be asked.
func (s *survey) findUntil(ctx context.Context) error {
	var closed error
	if s.ladder.get().StreamAccess {
		ok, err := s.honours(ctx, Stream)
		if err == nil && ok || ctx.Err() != nil || stops(err) {
			return err
		}
		closed = err
	}
	ok, err := s.honours(ctx, List)
	if err == nil && !ok && closed != nil { // the stream may well do it, and is to be asked again
		return closed
	}
	if closed != nil {
		s.ladder.set(func(caps *Capabilities) { caps.UntilStream = true })
	}
	return err
}

// tryList asks the list by timestamp as well, if there is a request to spare: it goes on when the stream does not.
func (s *survey) tryList(ctx context.Context) error {
	if !s.ladder.get().UntilStream || s.ladder.get().UntilList || s.found.Requests >= maxProbes {
		return nil
	}
	if _, err := s.honours(ctx, List); ctx.Err() != nil || stops(err) {
		return err
	}
	return nil
}

// honours asks an endpoint by timestamp and checks that the answer lies there.
func (s *survey) honours(ctx context.Context, door shard.Endpoint) (ok bool, err error) {
	was := s.ladder.get()
	s.ladder.set(func(caps *Capabilities) { caps.UntilList, caps.UntilStream = door == List, door == Stream })
	defer func() {
		s.ladder.set(func(caps *Capabilities) {
			caps.UntilList, caps.UntilStream = was.UntilList, was.UntilStream
			caps.setUntil(door, ok)
		})
	}()
	at := s.trial()
	events, more, err := s.probe(ctx, fetch.Question{Start: shard.ByUntil, Until: at.CeilMilli()})
	switch {
	case err == nil:
	case ctx.Err() != nil, transient(err), stops(err):
		return false, err
	default:
		s.log.Debug("asked by timestamp and refused", "endpoint", door, "err", err)
		return false, nil
	}
	if ok = !ignores(events, at); ok {
		s.learn(at, events, more)
	}
	return ok, nil
}

// trial returns the first instant to ask for: the middle of a span whose beginning is known, so that the answer shows the
// density there.
func (s *survey) trial() shard.Instant {
	if s.from.Finite() && s.from < s.inside {
		return s.from + (s.inside-s.from)/2
	}
	return s.guess()
}

func transient(err error) bool {
	return errors.As(err, new(*shard.TransientError))
}

// stops reports whether err ends the run. A wait that is too long, or a key that is refused, says nothing of what the API can do.
func stops(err error) bool {
	return errors.As(err, new(*shard.StopError))
}

// learn narrows the search by what was found at an instant.
func (s *survey) learn(at shard.Instant, events []shard.Event, more bool) {
	if len(events) > 0 {
		s.reach(events, more)
		return
	}
	s.outside = max(s.outside, at)
}

// findOldest narrows the oldest event down, by density: events that are missing from the total must lie further back.
func (s *survey) findOldest(ctx context.Context) error {
	if s.from.Finite() {
		s.found.Oldest = min(s.from, s.inside)
		return nil
	}
	for s.found.Requests < maxProbes && s.ladder.get().Windows() && !s.near() {
		at := s.guess()
		events, more, err := s.probe(ctx, fetch.Question{Start: shard.ByUntil, Until: at.CeilMilli()})
		if err != nil {
			return err
		}
		s.learn(at, events, more)
	}
	s.found.Oldest = s.inside
	if left := s.left(); left > 0 && s.inside > s.outside {
		s.found.Oldest = max(s.outside, s.inside.Add(-s.stretch(left)))
	}
	return nil
}

// near reports whether the oldest event is known well enough.
func (s *survey) near() bool {
	width := float64(s.found.Newest - s.inside)
	return s.inside <= s.outside ||
		s.outside.Finite() && float64(s.inside-s.outside) < nearEnough*width ||
		s.found.Total >= 0 && s.outside.Finite() && s.left() < nearEnough*float64(s.found.Total)
}

// guess returns where to look next: near the end that the density predicts, or else twice as far back as before, and always between
// the known bounds.
func (s *survey) guess() shard.Instant {
	back := 2*s.found.Newest.Sub(s.inside) + time.Second
	if left := s.left(); left > 0 {
		back = time.Duration(0.97 * float64(s.stretch(left)))
	}
	at := s.inside.Add(-back)
	if s.outside.Finite() && at <= s.outside {
		at = s.outside + (s.inside-s.outside)/2
	}
	return max(at, 1000) // the first millisecond that an event can have
}

// left estimates how many events lie beyond the oldest instant reached.
func (s *survey) left() float64 {
	if s.found.Total < 0 {
		return 0
	}
	known, upper := 0.0, s.found.Newest
	for _, sample := range s.found.Samples {
		known += sample.Rate() * float64(max(0, upper-sample.From))
		upper = min(upper, sample.From)
	}
	return max(0, float64(s.found.Total)-known)
}

// stretch returns the time that a number of events takes up at the density of the oldest sample.
func (s *survey) stretch(events float64) time.Duration {
	last := s.found.Samples[len(s.found.Samples)-1]
	const longest = 100 * 365 * 24 * float64(time.Hour)
	return time.Duration(min(longest, events/last.Rate()*float64(time.Microsecond)))
}

// probe asks for one page, more often than a walk would: at the start there is no checkpoint to come back to.
func (s *survey) probe(ctx context.Context, q fetch.Question) (events []shard.Event, more bool, err error) {
	pages, err := s.persist(ctx, &q, func(err error) bool { return transient(err) || isRefusal(err) })
	s.found.Requests = int(s.Requests() - s.before)
	if err != nil {
		return nil, false, fmt.Errorf("look at the API: %w", err)
	}
	failpoint.Hit("survey.probed")
	s.newest.keep(&q, pages)
	for _, page := range pages {
		events = append(events, page.Events...)
		if len(page.Rejects) > 0 && s.why == "" {
			s.why = page.Rejects[0].Reason
		}
	}
	last := pages[len(pages)-1]
	s.next = fetch.Question{Start: shard.ByCursor, Cursor: last.Cursor, Expires: last.CursorExpires}
	return events, last.More, nil
}

// persist puts a question that no walk will put again up to five times, while the fault is worth it and the API does not ask for a
// long wait.
func (c *Client) persist(ctx context.Context, q *fetch.Question, worth func(error) bool) ([]shard.Page, error) {
	const tries = 5
	for try := 1; ; try++ {
		pages, err := c.Ask(ctx, q)
		if err == nil || !worth(err) || try == tries || requestedPause(err) > longestRefusal {
			return pages, err
		}
		if err := shard.Sleep(ctx, max(c.Backoff(q, try+2), requestedPause(err))); err != nil {
			return nil, err
		}
	}
}

// isRefusal reports whether the API has refused a question that is worth putting again.
func isRefusal(err error) bool {
	var stuck *shard.StuckError
	return errors.As(err, &stuck) || transient(err) && requestedPause(err) > 0
}
