package page

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"sluice/cmd/sluice/internal/view"
)

// Handler serves the page at /, its changes at /live and the view as JSON at /view.
func Handler(board *view.Board) http.Handler {
	s := &server{board: board, newest: &frame{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /live", s.live)
	mux.HandleFunc("GET /view", s.view)
	return mux
}

// server makes a frame of what stands on the board when the first one asks for it, and gives the same to all others.
type server struct {
	board *view.Board

	mu     sync.Mutex
	of     <-chan struct{} // the change that ends what newest shows
	newest *frame
}

// frame returns the newest frame, and a channel that is closed when there is something newer.
func (s *server) frame() (*frame, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, changed := s.board.View()
	if changed == s.of {
		return s.newest, changed, nil
	}
	f, err := s.newest.next(&v)
	if err == nil {
		s.newest, s.of = f, changed
	}
	return f, changed, err
}

func (s *server) page(w http.ResponseWriter, _ *http.Request) {
	f, _, err := s.frame()
	if err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(f.page)
}

func (s *server) view(w http.ResponseWriter, _ *http.Request) {
	v, _ := s.board.View()
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
}

// live sends the parts that change whenever something else stands on the board, until nobody listens or the server closes.
// After the end of a run it stays open: who looks shall see that the server goes away, and when the next run is there.
func (s *server) live(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	to := &viewer{w: w, control: http.NewResponseController(w)}
	for {
		f, changed, err := s.frame()
		if err != nil || to.send(f) != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			if f, _, err = s.frame(); err == nil { // the end may have come with the close
				_ = to.send(f)
			}
			return
		}
	}
}

// viewer is one who looks, and the frame that it has seen.
type viewer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	seen    int
}

// slowest is how long a viewer may take for one change.
const slowest = 10 * time.Second

func (v *viewer) send(f *frame) error {
	if v.seen == f.number {
		return nil
	}
	event, err := f.step, error(nil)
	if v.seen == 0 || v.seen != f.number-1 { // it comes late, or was too slow for the frame before
		event, err = f.whole()
	}
	if err != nil {
		return err
	}
	v.seen = f.number
	if err := v.control.SetWriteDeadline(time.Now().Add(slowest)); err != nil {
		return err
	}
	if _, err := v.w.Write(event); err != nil {
		return err
	}
	return v.control.Flush()
}
