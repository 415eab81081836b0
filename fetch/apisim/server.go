package apisim

import (
	"fmt"
	"net/http"
	"path"
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
		handedIn:  handedIn{by: map[string][]string{}},
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

// routes are what answers a request, by method and path; * is one segment. A HEAD is taken for a GET.
var routes = []struct {
	method, path string // no method: any
	endpoint     Endpoint
	serve        func(*exchange)
}{
	{"OPTIONS", "*", Other, (*exchange).serveOptions},
	{"GET", "/api/v1/events", List, (*exchange).servePage},
	{"GET", feedPath, Feed, (*exchange).servePage},
	{"POST", "/internal/dashboard/stream-access", Access, (*exchange).serveAccess},
	{"POST", "/api/v1/events/bulk", Bulk, beside((*exchange).serveBulk)},
	{"GET", "/api/v1/events/*", Single, beside((*exchange).serveSingle)},
	{"GET", "/api/v1", Other, beside((*exchange).serveManifest)},
	{"GET", "/api/v1/sessions", Sessions, beside((*exchange).serveSessions)},
	{"GET", "/api/v1/sessions/*", Sessions, beside((*exchange).serveSession)},
	{"GET", "/api/v1/metrics", Metrics, beside((*exchange).serveMetrics)},
	{"GET", "/api/v1/submissions", Submissions, beside((*exchange).serveSubmitted)},
	{"POST", "/api/v1/submissions", Submissions, beside((*exchange).serveSubmit)},
	{"", "/health", Other, (*exchange).serveAlive},
	{"", "/internal/health", Other, (*exchange).serveHealth},
	{"", "/internal/stats", Other, (*exchange).serveStats},
}

// beside makes an answer that needs a key, and counts against no limit of the list or the stream.
func beside(serve func(*exchange)) func(*exchange) {
	return func(x *exchange) {
		if x.open() {
			serve(x)
		}
	}
}

// route finds what answers a request.
func route(r *http.Request) (Endpoint, func(*exchange)) {
	at, method := strings.TrimRight(r.URL.Path, "/"), r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for _, to := range routes {
		fits, _ := path.Match(to.path, at) // the patterns are well-formed
		if (fits || to.path == "*") && (to.method == "" || to.method == method) {
			return to.endpoint, to.serve
		}
	}
	if at == "/api" || strings.HasPrefix(at, "/api/") {
		return Other, beside((*exchange).serveUnknown)
	}
	return Other, (*exchange).serveDashboard
}
