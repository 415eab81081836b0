package apisim

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// selection says which events a page is taken from: those of the positions [floor, below) that are visible. Its view is part of it, so
// that a page of the cache stays as it was.
type selection struct {
	view         View
	floor, below int64
}

// filters reports whether the selection leaves out some of its positions.
func (s *selection) filters() bool { return s.below > s.view.settled }

// errTeapot is the answer to a cursor beyond the oldest event that one account reported.
var errTeapot = errors.New("no events there")

// expiredError says when a cursor expired.
type expiredError struct{ at time.Time }

func (e *expiredError) Error() string { return "cursor expired at " + e.at.String() }

// selects reads the parameters of a query. Unknown parameters, and since and until where they do not work, are ignored.
func (s *Server) selects(query url.Values, endpoint Endpoint, now time.Time) (selection, error) {
	view := s.data.At(now)
	sel := selection{view: view, floor: view.first, below: view.end}
	if err := s.selectCursor(&sel, query.Get("cursor"), now); err != nil {
		return sel, err
	}
	if w := s.config.Window; w == WindowBoth || w == WindowFeed && endpoint == Feed {
		s.selectWindow(&sel, query)
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
