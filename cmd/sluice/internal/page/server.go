package page

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"sluice/cmd/sluice/internal/live"
)

// Handler serves the page at /, its changes at /live and the view as JSON at /view.
func Handler(board *live.Board) http.Handler {
	s := &server{board}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /live", s.live)
	mux.HandleFunc("GET /view", s.view)
	return mux
}

type server struct{ board *live.Board }

func (s *server) page(w http.ResponseWriter, _ *http.Request) {
	v, _ := s.board.View()
	html, err := render(&v)
	if err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(html)
}

func (s *server) view(w http.ResponseWriter, _ *http.Request) {
	v, _ := s.board.View()
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v)
}

// live sends the page again whenever something else stands on the board, until the run has ended or nobody listens.
func (s *server) live(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	to := http.NewResponseController(w)
	for {
		v, changed := s.board.View()
		if s.send(w, to, &v) != nil || v.Phase == live.Ended {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// slowest is how long a reader may take for one change.
const slowest = 10 * time.Second

func (s *server) send(w http.ResponseWriter, to *http.ResponseController, v *live.View) error {
	html, err := render(v)
	if err != nil {
		return err
	}
	data, err := json.Marshal(struct {
		HTML string     `json:"html"`
		View *live.View `json:"view"`
	}{string(html), v})
	if err != nil {
		return err
	}
	if err := to.SetWriteDeadline(time.Now().Add(slowest)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "event: page\nretry: 2000\ndata: %s\n\n", data); err != nil {
		return err
	}
	return to.Flush()
}

// policy lets the page run its own script and nothing else, and talk to nobody but this server.
var policy = fmt.Sprintf("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-%s'; connect-src 'self'; img-src data:; "+
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'", base64.StdEncoding.EncodeToString(hashOf(pageJS)))

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// Guard lets only those through who asked for this server by an address or by one of the names: a page of somebody else whose
// name was made to point here (DNS rebinding) asks by its own. It also says what browsers must not do with the answers.
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
	if strings.EqualFold(host, "localhost") || net.ParseIP(host) != nil {
		return true
	}
	for _, n := range names {
		if n != "" && strings.EqualFold(host, n) {
			return true
		}
	}
	return false
}
