package shard

import (
	"testing"
	"time"
)

const second = 1_000_000

// midway is an edge of a window [0, 1000 s) whose walk has read ten pages of 10 s each.
func midway(oldest Instant, w Window) *Edge {
	e := NewEdge(w, oldest)
	for i := range Instant(10) {
		top := 1000*second - i*10*second
		e.advance(top, top-10*second)
	}
	return e
}

// However many pieces are requested, they and the rest tile the window, on whole milliseconds, and nothing that was read lies in
// a piece.
func FuzzEdgeTiles(f *testing.F) {
	f.Add(int64(0), int64(900*second), uint8(1), uint8(7))
	f.Add(int64(-5), int64(1), uint8(3), uint8(1))
	f.Add(int64(1), int64(2500), uint8(200), uint8(2))
	f.Add(int64(999), int64(7*second+1), uint8(16), uint8(16))
	f.Fuzz(func(t *testing.T, start, length int64, first, again uint8) {
		if start < -1<<60 || start > 1<<60 || length < 1 || length > 1<<60 {
			return
		}
		w := Window{Start: Instant(start), End: Future}
		reached := w.Start + Instant(length)
		e := NewEdge(w, 0)
		edge := w.Start
		for _, asked := range []uint8{first, again} {
			for range asked {
				e.RequestSplit()
			}
			e.mu.Lock()
			e.advance(reached+5*second, reached)
			e.mu.Unlock()
			for _, p := range e.split() {
				if p.Start != edge || p.End <= p.Start || p.End > reached || p.End%1000 != 0 {
					t.Fatalf("piece %s after %s, where %s was read", p, edge, reached)
				}
				edge = p.End
			}
			if e.start != edge {
				t.Fatalf("the rest starts at %s, the last piece ends at %s", e.start, edge)
			}
		}
	})
}

// The pages left are estimated from those seen, and pieces get equal parts of the time.
func TestEdgeSplitsEvenly(t *testing.T) {
	e := midway(0, Window{Start: 0, End: Future})
	if pages, _ := e.Remaining(); pages < 89 || pages > 91 {
		t.Errorf("%.1f pages left, want 90", pages)
	}
	e.RequestSplit()
	e.RequestSplit()
	pieces := e.split()
	if len(pieces) != 2 || pieces[0] != (Window{0, 300 * second}) || pieces[1] != (Window{300 * second, 600 * second}) {
		t.Fatalf("got %v", pieces)
	}
	if again := e.split(); again != nil {
		t.Errorf("got %v without a request", again)
	}
	if pages, asked := e.Remaining(); pages < 29 || pages > 31 || asked != 0 {
		t.Errorf("%.1f pages and %d requested, want 30 and none", pages, asked)
	}
}

// In a burst the newest pieces are the shortest: the burst itself is divided, and not only the time before it.
func TestEdgeDividesABurst(t *testing.T) {
	e := midway(0, Window{Start: 0, End: Future})
	e.advance(900*second, 899*second)
	for range 3 {
		e.RequestSplit()
	}
	pieces := e.split()
	if len(pieces) != 3 {
		t.Fatalf("got %v", pieces)
	}
	if newest := pieces[2]; newest.End < 880*second || newest.End > 899*second-4*second || newest.Start > newest.End-4*second {
		t.Errorf("the newest piece is %s, the walk stands at 899 s and reads a second a page", newest)
	}
}

// A window that is open to the past is split from the oldest event known, and its oldest piece stays open.
func TestEdgeOpenToThePast(t *testing.T) {
	e := midway(0, Window{Start: Past, End: Future})
	e.RequestSplit()
	if pieces := e.split(); pieces != nil {
		t.Errorf("split at %v, without an oldest event", pieces)
	}
	e = midway(100*second, Window{Start: Past, End: Future})
	e.RequestSplit()
	if pieces := e.split(); len(pieces) != 1 || pieces[0] != (Window{Past, 500 * second}) {
		t.Errorf("got %v", pieces)
	}
}

// If it is not certain what the walk has read, or the walk is over, nothing is split.
func TestEdgeSplitsOnlyMidway(t *testing.T) {
	for name, end := range map[string]func(*Edge){
		"the page is in doubt": func(e *Edge) {
			judged(e, Page{Events: at(9, 8), Received: 2, More: true}, pass{seek: Key{At: epoch.Add(-time.Hour), ID: idOf(99)}})
		},
		"the page has no events": func(e *Edge) { judged(e, Page{More: true}, pass{}) },
		"the page is the last":   func(e *Edge) { judged(e, Page{Events: at(9, 8), Received: 2}, pass{}) },
		"the walk is over":       func(e *Edge) { e.close() },
	} {
		e := midway(0, Window{Start: 0, End: Future})
		e.RequestSplit()
		if judged(e, Page{Events: at(11, 10), Received: 2, More: true}, pass{}); e.reached != at(10)[0].At || !e.midway {
			t.Fatal("a page in the middle of the window is not reported to the edge")
		}
		end(e)
		if pages, _ := e.Remaining(); pages != 0 || e.split() != nil {
			t.Errorf("%s: split, with %.1f pages left", name, pages)
		}
	}
}

// judged has a walk in mid-window judge a page.
func judged(e *Edge, p Page, so pass) {
	so.pages, so.visited = 1, map[mark]struct{}{}
	w := walk{
		Attempt: &Attempt{Edge: e, From: Checkpoint{Window: Window{Start: e.start, End: Future}}},
		pos:     Position{End: Future, Resume: Key{At: epoch.Add(time.Hour)}}, rejected: map[[32]byte]struct{}{}, pass: so,
	}
	_, _ = w.judge(&p)
}

// A fetcher is nearly done when no page is expected after the one it waits for, and when the end is proven.
func TestEdgeNearlyDone(t *testing.T) {
	e := NewEdge(Window{Start: 0, End: Future}, 0)
	wants := func(when string, want bool) {
		t.Helper()
		if e.NearlyDone() != want {
			t.Errorf("%s: %t, want %t", when, !want, want)
		}
	}
	wants("nothing is known yet", false)
	e.advance(30*second, 20*second)
	wants("two pages are left", false)
	e.advance(20*second, 10*second)
	wants("one page is left", true)
	e.advance(10*second, 5*second)
	e.midway = false
	wants("the last page is in doubt", false)
	e.close()
	wants("another pass begins", false)
	e.over = true
	wants("it is proven", true)
}
