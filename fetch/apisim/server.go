package apisim

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Endpoint names a group of paths with a limit, a script and counters of its own.
type Endpoint string

// The endpoints.
const (
	List        Endpoint = "list"        // GET /api/v1/events
	Feed        Endpoint = "feed"        // GET /api/v1/events/d4ta/x7k9/feed
	Access      Endpoint = "access"      // POST /internal/dashboard/stream-access
	Single      Endpoint = "single"      // GET /api/v1/events/:id, out of the list's bucket
	Bulk        Endpoint = "bulk"        // POST /api/v1/events/bulk
	Sessions    Endpoint = "sessions"    // GET /api/v1/sessions and /api/v1/sessions/:id
	Metrics     Endpoint = "metrics"     // GET /api/v1/metrics
	Submissions Endpoint = "submissions" // POST and GET /api/v1/submissions
	Other       Endpoint = "other"       // all the rest
)

// feedPath is the stream's path, which the real API tells only to its dashboard.
const feedPath = "/api/v1/events/d4ta/x7k9/feed"

// Server is the simulated API, an http.Handler that is safe for concurrent use.
type Server struct {
	config    Config
	data      *Data
	cursors   cursors
	buckets   buckets
	keys      keyring
	tokens    tokens
	cache     cache
	script    script
	journal   journal
	handedIn  handedIn
	ceiling   ceiling
	renderers *sync.Pool
	bodies    sync.Pool
}

// New makes the API that c describes.
func New(c Config) (*Server, error) {
	data, err := NewData(c)
	if err != nil {
		return nil, err
	}
	c = data.config
	cursors, err := newCursors(&c)
	if err != nil {
		return nil, fmt.Errorf("configure the simulator: opaque cursors: %w", err)
	}
	return &Server{
		config: c, data: data, cursors: cursors,
		buckets: buckets{algorithm: c.Algorithm, of: map[bucketName]*bucket{}},
		keys:    keyring{only: c.Key, life: c.KeyLife, revokeAfter: c.KeyRevokedAfter},
		tokens:  tokens{life: c.TokenLife, expires: map[string]time.Time{}},
		cache:   cache{life: c.CacheLife, pages: map[string]cachedPage{}},
		script: script{shares: c.Faults, key: keyOf(c.Seed, "faults"),
			queued: map[Endpoint][]Fault{}, control: map[Endpoint]func(*http.Request) Fault{}},
		journal:   journal{counts: map[Endpoint]*tallied{}},
		renderers: newRenderers(data),
		bodies:    sync.Pool{New: func() any { return new([]byte) }},
	}, nil
}

// Data returns the data set that is served.
func (s *Server) Data() *Data { return s.data }

// Config returns the configuration, with all defaults filled in.
func (s *Server) Config() Config { return s.config }

// exchange is one request and its answer.
type exchange struct {
	*Server
	w        http.ResponseWriter
	r        *http.Request
	endpoint Endpoint
	arrived  time.Time
	number   int64 // of the request at its endpoint
	key      string
	inQuery  bool // the key came in the URL
	fault    Fault
	log      Request
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{Server: s, w: w, r: r, arrived: time.Now()}
	endpoint, serve := route(r)
	x.endpoint = endpoint
	x.number = s.journal.begin(endpoint, x.arrived, s.limitOf(endpoint).Window)
	// Deferred, because a cut answer ends in a panic, as net/http wants it.
	defer x.finish()
	serve(x)
}

// route finds what answers a request.
func route(r *http.Request) (Endpoint, func(*exchange)) {
	path := strings.TrimRight(r.URL.Path, "/")
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	id, byID := strings.CutPrefix(path, "/api/v1/events/")
	switch {
	case r.Method == http.MethodOptions:
		return Other, (*exchange).serveOptions
	case path == "/api/v1/events" && read:
		return List, (*exchange).servePage
	case path == feedPath && read:
		return Feed, (*exchange).servePage
	case path == "/internal/dashboard/stream-access" && r.Method == http.MethodPost:
		return Access, (*exchange).serveAccess
	case path == "/api/v1/events/bulk" && r.Method == http.MethodPost:
		return Bulk, (*exchange).serveBulk
	case byID && read && !strings.Contains(id, "/"):
		return Single, (*exchange).serveSingle
	case path == "/api" || strings.HasPrefix(path, "/api/"):
		return routeBeside(path, read, r.Method == http.MethodPost)
	}
	return Other, routeOutside(path)
}

// routeBeside finds what answers a request of the API that is not for events.
func routeBeside(path string, read, post bool) (Endpoint, func(*exchange)) {
	id, byID := strings.CutPrefix(path, "/api/v1/sessions/")
	switch {
	case path == "/api/v1" && read:
		return Other, (*exchange).serveManifest
	case path == "/api/v1/sessions" && read:
		return Sessions, (*exchange).serveSessions
	case byID && read && !strings.Contains(id, "/"):
		return Sessions, (*exchange).serveSession
	case path == "/api/v1/metrics" && read:
		return Metrics, (*exchange).serveMetrics
	case path == "/api/v1/submissions" && read:
		return Submissions, (*exchange).serveSubmitted
	case path == "/api/v1/submissions" && post:
		return Submissions, (*exchange).serveSubmit
	}
	return Other, (*exchange).serveUnknown
}

// routeOutside finds what answers a request beside the API proper.
func routeOutside(path string) func(*exchange) {
	switch path {
	case "/health":
		return (*exchange).serveAlive
	case "/internal/health":
		return (*exchange).serveHealth
	case "/internal/stats":
		return (*exchange).serveStats
	}
	return (*exchange).serveDashboard
}
