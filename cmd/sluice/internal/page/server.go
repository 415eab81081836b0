// Package page serves a view.View as one page: it has everything it needs in it, is complete without JavaScript, and with it follows the
// run through server-sent events.
package page

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
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

// server makes a frame of the newest view at its first request, and serves the same to all viewers.
type server struct {
	board *view.Board

	mu     sync.Mutex
	of     <-chan struct{} // closed when newest is outdated
	newest *frame
}

// frame returns the newest frame, and a channel that is closed when there is a newer one.
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

// live sends the parts that change with every new view, until the viewer leaves or the server closes. It stays open after the end of
// a run: its viewers shall see that the server goes away, and when the next run is there.
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

// viewer is a browser that follows the run, and the frame that it was sent last.
type viewer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	seen    int // its number
}

// viewerTimeout is how long a viewer may take for one change.
const viewerTimeout = 10 * time.Second

func (v *viewer) send(f *frame) error {
	if v.seen == f.number {
		return nil
	}
	event, err := f.step, error(nil)
	if v.seen == 0 || v.seen != f.number-1 { // it is new, or was too slow for the frame before
		event, err = f.event(changes(nil, f.parts))
	}
	if err != nil {
		return err
	}
	v.seen = f.number
	if err := v.control.SetWriteDeadline(time.Now().Add(viewerTimeout)); err != nil {
		return err
	}
	if _, err := v.w.Write(event); err != nil {
		return err
	}
	return v.control.Flush()
}

// policy lets the page run its own script and nothing else, and connect only to this server.
var policy = func() string {
	sum := sha256.Sum256([]byte(pageJS))
	return fmt.Sprintf("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-%s'; connect-src 'self'; img-src data:; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'", base64.StdEncoding.EncodeToString(sum[:]))
}()

// Guard rejects requests whose Host header is neither an address nor one of the names: the page of another site whose name was made to
// point here (DNS rebinding) uses its own. It also restricts what browsers may do with the answers.
func Guard(next http.Handler, names ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !known(r.Host, names) {
			http.Error(w, "this server is not known by that name", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func known(host string, names []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	return strings.EqualFold(host, "localhost") || net.ParseIP(host) != nil ||
		slices.ContainsFunc(names, func(name string) bool { return name != "" && strings.EqualFold(host, name) })
}
