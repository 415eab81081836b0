package apisim

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// selection says which events a page is taken from: those of the positions [floor, below) that are visible and pass the
// filters. Its view is part of it, so that a page of the cache stays as it was.
type selection struct {
	view         View
	floor, below int64
	session      int64 // the index of the only session, or anySession
	kind         string
}

const anySession = -1

// filters reports whether the selection leaves out some of its positions.
func (s *selection) filters() bool {
	return s.session != anySession || s.kind != "" || s.below > s.view.settled
}

// passes reports whether an event is wanted.
func (s *selection) passes(serial int64) bool {
	d := s.view.data
	return (s.session == anySession || d.sessionOf(serial) == s.session) && (s.kind == "" || d.fields(serial).kind == s.kind) &&
		s.view.sees(serial)
}

// errTeapot is the answer to a cursor beyond the oldest event that one account reported.
var errTeapot = errors.New("no events there")

// expiredError says when a cursor expired.
type expiredError struct{ at time.Time }

func (e *expiredError) Error() string { return "cursor expired at " + e.at.String() }

// selects reads the parameters of a query. Unknown parameters, and since and until where they do not work, are ignored.
func (s *Server) selects(query url.Values, endpoint Endpoint, now time.Time) (selection, error) {
	view := s.data.At(now)
	sel := selection{view: view, floor: view.first, below: view.end, session: anySession}
	if err := s.selectCursor(&sel, query.Get("cursor"), now); err != nil {
		return sel, err
	}
	if w := s.config.Window; w == WindowBoth || w == WindowFeed && endpoint == Feed {
		s.selectWindow(&sel, query)
	}
	if endpoint == List {
		s.selectFilters(&sel, query)
	}
	sel.below = max(sel.below, sel.floor)
	return sel, nil
}

func (s *Server) selectCursor(sel *selection, text string, now time.Time) error {
	if text == "" {
		return nil
	}
	c, err := s.cursors.decode(text)
	switch expires := time.UnixMilli(c.Exp); {
	case err != nil && s.config.CursorFault == BadCursorIgnore:
		return nil
	case err != nil:
		return err
	case !now.Before(expires):
		return &expiredError{expires}
	case s.config.Teapot && c.TS < s.config.Oldest.UnixMilli():
		return errTeapot
	}
	sel.below = min(sel.below, s.data.after(c.TS, c.ID))
	return nil
}

// selectWindow reads since and until, epoch milliseconds. Whether the real ones include their own millisecond is not known;
// each can be either.
func (s *Server) selectWindow(sel *selection, query url.Values) {
	if ms, ok := millis(query.Get("since")); ok {
		if s.config.SinceExclusive {
			ms++
		}
		sel.floor = max(sel.floor, s.data.timeline.before(ms))
	}
	if ms, ok := millis(query.Get("until")); ok {
		if !s.config.UntilExclusive {
			ms++
		}
		sel.below = min(sel.below, s.data.timeline.before(ms))
	}
}

// millis reads epoch milliseconds. How other forms are treated was not recorded: they are ignored.
func millis(text string) (int64, bool) {
	ms, err := strconv.ParseInt(text, 10, 64)
	return max(math.MinInt64+1, min(ms, math.MaxInt64-1)), err == nil
}

// selectFilters reads the filters of the list that are known to work: by session, and by type.
func (s *Server) selectFilters(sel *selection, query url.Values) {
	if id := query.Get("sessionId"); id != "" {
		index, ok := sel.view.findSession(id)
		if !ok {
			sel.floor = sel.below
			return
		}
		first, last := s.data.sessionRange(index)
		sel.session, sel.floor, sel.below = index, max(sel.floor, first), min(sel.below, last)
	}
	if kind := query.Get("type"); kind != "" {
		sel.kind = kind
		if !slices.ContainsFunc(types, func(t share) bool { return t.value == kind }) {
			sel.floor = sel.below
		}
	}
}

// findSession returns the index of a session by its id.
func (v *View) findSession(id string) (int64, bool) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return 0, false
	}
	return v.data.sessions.serial(parsed, v.sessionTotal())
}

// sessionRange returns the positions [first, end) that hold all events of a session, and some of others.
func (d *Data) sessionRange(index int64) (first, end int64) {
	first = max(0, d.pace.first(index-concurrent+1)-1)
	end = min(d.timeline.events(), d.pace.first(index+1)+1)
	// In a millisecond with several events, the order is not that of the serials.
	first, _ = d.timeline.group(first)
	_, end = d.timeline.group(end - 1)
	return first, end
}

// pageLimit reads how many events are wanted. More than the cap is silently the cap; nonsense is the default.
func (s *Server) pageLimit(query url.Values, otherwise int) int {
	n, err := strconv.Atoi(query.Get("limit"))
	if err != nil || n < 1 {
		n = otherwise
	}
	return min(n, s.config.PageCap)
}

// refuseQuery answers a query with a faulty cursor.
func (x *exchange) refuseQuery(err error) {
	var expired *expiredError
	switch {
	case errors.As(err, &expired):
		x.refuseExpired(expired.at)
	case errors.Is(err, errTeapot):
		x.refuse(problem{http.StatusTeapot, "I'm a teapot", "TEAPOT"})
	case x.config.CursorFault == BadCursor502:
		x.sendBalancer(http.StatusBadGateway)
	default:
		x.refuse(problem{http.StatusBadRequest, "Invalid cursor format", "CURSOR_INVALID_FORMAT"})
	}
}

func (x *exchange) refuseExpired(at time.Time) {
	if x.config.ExpiredAs502 {
		x.sendBalancer(http.StatusBadGateway)
		return
	}
	minutes := int(time.Since(at) / time.Minute)
	x.refuse(problem{http.StatusBadRequest, fmt.Sprintf("Cursor expired %d minute(s) ago", minutes), "CURSOR_EXPIRED"})
}
