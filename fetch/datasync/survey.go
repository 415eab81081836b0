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
	found   shard.Survey
	from    shard.Instant  // beginning of the span, if that is known
	inside  shard.Instant  // there are events up to here
	outside shard.Instant  // there are none at and before this
	next    fetch.Question // asks for the page after the last one
}

// Survey finds out what the API can do and which span its events fill, with at most 14 page requests if the newest page can be
// read. If the span's beginning is known, two are enough; from is shard.Past if it is not. The newest page is kept for the walk
// that begins there.
func (c *Client) Survey(ctx context.Context, from shard.Instant) (found shard.Survey, err error) {
	defer func() {
		caps := c.Capabilities()
		found.PageSize, found.Step = caps.PageSize, caps.Step()
	}()
	s := &survey{Client: c, found: shard.Survey{Total: -1}, from: from, outside: shard.Past}
	_, err = c.tokens.get(ctx, 0)
	var stop *shard.StopError
	if errors.As(err, &stop) {
		return s.found, err
	}
	refused := errors.Is(err, errStreamRefused)
	c.ladder.set(func(caps *Capabilities) { caps.StreamAccess, caps.MadeCursors = !refused, c.ladder.made })
	if refused {
		c.log.Warn("the stream is out of reach, the list goes on alone", "why", err)
	}
	if err := s.top(ctx); err != nil || s.found.Empty {
		return s.found, err
	}
	if err := s.findUntil(ctx); err != nil {
		return s.found, err
	}
	err = s.findOldest(ctx)
	c.ladder.set(func(caps *Capabilities) { caps.PageSize = c.Granted() })
	return s.found, err
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
			return fmt.Errorf("none of the records in the newest %d pages can be read: is this the API that Sluice is made for?", s.found.Requests)
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
	if s.ladder.get().StreamAccess {
		ok, err := s.honours(ctx, func(caps *Capabilities, yes bool) { caps.UntilStream = yes })
		if err != nil || ok {
			return err
		}
	}
	_, err := s.honours(ctx, func(caps *Capabilities, yes bool) { caps.UntilList = yes })
	return err
}

// honours asks by timestamp and checks that the answer lies there. set switches the capability that is tried.
func (s *survey) honours(ctx context.Context, set func(*Capabilities, bool)) (bool, error) {
	s.ladder.set(func(caps *Capabilities) { set(caps, true) })
	at := s.trial()
	events, more, err := s.probe(ctx, fetch.Question{Start: shard.ByUntil, Until: at.CeilMilli()})
	if err != nil && ctx.Err() == nil && !transient(err) && !stops(err) {
		s.log.Debug("asked by timestamp and refused", "err", err)
		events = nil
	} else if err != nil {
		return false, err
	}
	newer := 0
	for i := range events {
		if events[i].At > at.Add(time.Millisecond) {
			newer++
		}
	}
	ok := err == nil && 2*newer <= len(events)
	s.ladder.set(func(caps *Capabilities) { set(caps, ok) })
	if ok {
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
	var t *shard.TransientError
	return errors.As(err, &t)
}

// stops reports whether err ends the run. A wait that is too long, or a key that is refused, says nothing of what the API can do.
func stops(err error) bool {
	var s *shard.StopError
	return errors.As(err, &s)
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
	const tries = 5
	for try := 1; ; try++ {
		s.found.Requests++
		pages, err := s.Ask(ctx, &q)
		if err == nil {
			failpoint.Hit("survey.probed")
			s.newest.keep(&q, pages)
			for _, page := range pages {
				events = append(events, page.Events...)
			}
			last := pages[len(pages)-1]
			s.next = fetch.Question{Start: shard.ByCursor, Cursor: last.Cursor, Expires: last.CursorExpires}
			return events, last.More, nil
		}
		if !transient(err) || try == tries {
			return nil, false, fmt.Errorf("look at the API: %w", err)
		}
		if err := shard.Sleep(ctx, s.Backoff(&q, try+2)); err != nil {
			return nil, false, err
		}
	}
}
