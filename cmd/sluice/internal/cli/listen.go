package cli

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"sluice/cmd/sluice/internal/metrics"
	"sluice/cmd/sluice/internal/page"
	"sluice/cmd/sluice/internal/view"
)

// listener serves the page, the metrics and the health of a run.
type listener struct {
	http   *http.Server
	board  *view.Board
	hangUp context.CancelFunc // ends the streams of all viewers
}

// listen opens the address and serves until it is closed.
func (p *Program) listen(s *settings, board *view.Board) (*listener, error) {
	address := s.listen
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, usage("--listen %q: an address such as 127.0.0.1:8080 is needed: %v", address, err)
	}
	at, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fail(ExitUsage, "choose another port, or :0 for a free one, with --listen", fmt.Errorf("--listen %s: %w", address, err))
	}
	viewing, hangUp := context.WithCancel(context.Background())
	l := &listener{board: board, hangUp: hangUp}
	l.http = &http.Server{
		Handler:           page.Guard(l.handler(s.pprof), append(s.listenHosts, host)...),
		BaseContext:       func(net.Listener) context.Context { return viewing },
		ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	go p.guarded(func() { _ = l.http.Serve(at) })()
	p.say("look at the run: %s", cmp.Or(s.pageURL, "http://"+reachable(at.Addr())+"/"))
	return l, nil
}

// reachable returns the address under which this machine reaches the listener.
func reachable(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return a.String()
}

func (l *listener) handler(profiles bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", page.Handler(l.board))
	mux.Handle("GET /metrics", metrics.Handler(l.now))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", l.ready)
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func (l *listener) now() view.View {
	v, _ := l.board.View()
	return v
}

// ready reports whether pages are being committed: the run is under way and the database takes commits.
func (l *listener) ready(w http.ResponseWriter, _ *http.Request) {
	v := l.now()
	switch {
	case v.Paused != nil:
		http.Error(w, "paused by you: "+v.GoOn+" resumes", http.StatusServiceUnavailable)
	case v.Away != "":
		http.Error(w, "the database takes no commits: "+v.Away, http.StatusServiceUnavailable)
	case v.Phase == view.Ended:
		http.Error(w, "ended: "+v.Verdict, http.StatusServiceUnavailable)
	case v.Phase == view.Waiting && v.Limit != "":
		http.Error(w, "waiting for what is away: "+v.Limit, http.StatusServiceUnavailable)
	case v.Phase != view.Ingesting && v.Phase != view.Checking && v.Phase != view.Waiting:
		http.Error(w, string(v.Phase), http.StatusServiceUnavailable)
	case v.Doubt != "":
		_, _ = fmt.Fprintln(w, "ready, and the data are in doubt: "+v.Doubt)
	default:
		_, _ = fmt.Fprintln(w, "ready")
	}
}

// linger keeps serving the last view for a while, or until ctx ends, and then closes.
func (l *listener) linger(ctx context.Context, d time.Duration) {
	if d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	l.hangUp()
	if l.http.Shutdown(ctx) != nil {
		_ = l.http.Close()
	}
}
