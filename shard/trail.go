package shard

import (
	"time"

	"github.com/google/uuid"
)

// trail is what one walk of pages has seen so far.
type trail struct {
	pages   int
	cached  bool      // the first of them came from the API's cache
	skip    bool      // what is newer than the place may still come
	seek    Key       // the resume point, until it was seen
	last    uuid.UUID // the last event
	news    bool      // a reject that no walk before has brought
	tail    []Key     // the last keys that were in order
	held    []Event   // look older than the window, and are too few to prove it
	anchor  link      // led to the page where they begin
	proven  bool      // by records older than the window
	empty   int       // empty pages in a row
	lead    lead
	visited map[[16]byte]struct{} // marks of its pages
}

// link is a cursor, and how long it lives.
type link struct {
	cursor  string
	expires time.Time
}

// lead is the link that led to the response under way, and the one that leads on from it.
type lead struct {
	here, next link
	inside     bool // more pieces of the response follow
}

// move notes a page.
func (l *lead) move(p *Page) {
	if !l.inside {
		l.here = l.next
	}
	if l.inside = p.Rest > 0; !l.inside {
		l.next = link{p.Cursor, p.CursorExpires}
	}
}
