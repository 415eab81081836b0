package e2e

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// front stands before an API that is a process of its own, and counts what comes by. While that is away, so is it.
type front struct {
	mu     sync.Mutex
	behind *httputil.ReverseProxy
	asked  []asked
}

// asked is one request.
type asked struct {
	at     time.Time
	page   bool // of events
	status int  // 0: nobody answered
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, asked{at: time.Now(), page: asksForPage(r.URL.Path)})
	n, behind := len(f.asked)-1, f.behind
	f.mu.Unlock()
	if behind == nil {
		panic(http.ErrAbortHandler)
	}
	behind.ServeHTTP(&noting{w, f, n}, r)
}

// asksForPage tells a page of the list or the stream from the requests around them.
func asksForPage(path string) bool {
	return path == "/api/v1/events" || strings.HasSuffix(path, "/feed")
}

// noting keeps the status of an answer.
type noting struct {
	http.ResponseWriter
	front *front
	n     int
}

func (n *noting) WriteHeader(status int) {
	n.front.mu.Lock()
	n.front.asked[n.n].status = status
	n.front.mu.Unlock()
	n.ResponseWriter.WriteHeader(status)
}

// lead leads to an API at an address; none: it is away.
func (f *front) lead(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.behind = nil; address == "" {
		return
	}
	target, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	f.behind = httputil.NewSingleHostReverseProxy(target)
	f.behind.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
}

// between returns the requests of a time.
func (f *front) between(from, to time.Time) (all []asked) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.asked {
		if !a.at.Before(from) && a.at.Before(to) {
			all = append(all, a)
		}
	}
	return all
}

// startAPI starts the API as a process, at a port of its own choice.
func (f *followSoak) startAPI() {
	f.t.Helper()
	f.api = f.world.start(append(f.simulate, "--listen=127.0.0.1:0")...)
	f.waitForOutput(f.api, " on http://")
	_, address, _ := strings.Cut(f.api.out.String(), " on ")
	f.front.lead(strings.TrimSpace(address))
}

// apiAway kills the API's process, and starts it again after a while: it goes on as if it had been there.
func (f *followSoak) apiAway(d time.Duration) {
	f.t.Helper()
	f.front.lead("")
	if err := f.api.Process.Signal(syscall.SIGKILL); err != nil {
		f.t.Fatal(err)
	}
	time.Sleep(d)
	f.startAPI()
}
