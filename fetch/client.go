package fetch

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"sluice/fetch/decode"
	"sluice/fetch/quota"
)

// Config is what the client needs to know. The zero value of a field means its default.
type Config struct {
	BaseURL     string // origin of the API, with or without /api/v1
	Key         Secret
	Version     string // for the User-Agent
	Fetchers    int    // how many will ask at once; default 8
	PageSize    int    // records asked for at first; the API's echo decides; default 100,000
	MaxBody     int64  // largest body within the memory budget, in bytes; default 160 MiB
	MadeCursors bool   // a cursor may be made where nothing else leads back to a resume point
	Require     bool   // refuse plain http to other machines
	Pacer       *quota.Pacer
	Log         *slog.Logger

	Transport http.RoundTripper // carries the requests; default: the network
	Seed      uint64            // of the pauses between tries, so that a simulation can be repeated; default: drawn

	HeaderTimeout time.Duration // from the request to the headers; default 30 s
	IdleTimeout   time.Duration // between two reads of a body; default 15 s
	TotalTimeout  time.Duration // of a request; default 5 min
	Tries         int           // of one request in a row; default 3
}

func (c Config) withDefaults() Config {
	c.Fetchers = cmp.Or(c.Fetchers, 8)
	c.PageSize = cmp.Or(c.PageSize, 100_000)
	c.MaxBody = cmp.Or(c.MaxBody, 160<<20)
	c.Version = cmp.Or(c.Version, "dev")
	c.HeaderTimeout = cmp.Or(c.HeaderTimeout, 30*time.Second)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 15*time.Second)
	c.TotalTimeout = cmp.Or(c.TotalTimeout, 5*time.Minute)
	c.Tries = cmp.Or(c.Tries, 3)
	c.Log = cmp.Or(c.Log, slog.Default())
	c.Seed = cmp.Or(c.Seed, rand.Uint64())
	return c
}

func (c Config) validate() error {
	var faults []error
	if c.PageSize < 1 || c.PageSize > 1_000_000 {
		faults = append(faults, fmt.Errorf("page size %d: it must be from 1 to 1,000,000", c.PageSize))
	}
	if c.Fetchers < 1 || c.Fetchers > 1024 {
		faults = append(faults, fmt.Errorf("fetchers %d: there must be from 1 to 1024", c.Fetchers))
	}
	if c.Pacer == nil {
		faults = append(faults, errors.New("a pacer is needed"))
	}
	return errors.Join(append(faults, checkHeaderValue("TARGET_API_KEY", c.Key.Reveal()))...)
}

// Client asks the API for pages. It is safe for concurrent use and starts no goroutine of its own; Pages makes it a
// shard.Source.
type Client struct {
	config  Config
	origin  *url.URL
	http    *http.Client
	pacer   *quota.Pacer
	tokens  tokens
	ladder  ladder
	newest  newest
	wording atomic.Int64 // of the last question for the newest page
	granted atomic.Int64 // records in a page, as the API echoed; 0: not yet known
	given   atomic.Int64 // records in the last page that had others after it; 0: there was none
	total   atomic.Int64 // events there are, as the API said last; -1: it has not said
	count   counters
	offset  atomic.Pointer[time.Duration] // the API's clock, ahead of ours

	unknown  sync.Map // names of unknown fields that were warned of
	unknowns atomic.Int64
	decoded  sync.Pool
}

// counters are kept for the summary and the metrics.
type counters struct {
	requests [3]atomic.Int64 // page requests, by endpoint
	refused  [3]atomic.Int64 // 429s among them
	retries  atomic.Int64
	access   atomic.Int64
	cached   atomic.Int64
	bytes    atomic.Int64
	busy     atomic.Int64 // nanoseconds spent in page requests
}

// New returns a client, or everything that is wrong with its settings.
func New(config Config) (*Client, error) {
	config = config.withDefaults()
	origin, err := parseOrigin(config.BaseURL)
	if err := errors.Join(err, config.validate()); err != nil {
		return nil, err
	}
	if origin.Scheme == "http" && !loopback(origin.Hostname()) {
		if config.Require {
			return nil, errors.New("API_BASE_URL is plain http and --require-tls is set: the key would travel in the clear")
		}
		config.Log.Warn("API_BASE_URL is plain http: the key travels in the clear", "host", origin.Host)
	}
	c := &Client{config: config, origin: origin, http: newHTTP(config, origin.Hostname()), pacer: config.Pacer}
	c.tokens.client = c
	c.ladder.made = config.MadeCursors
	c.decoded.New = func() any { return decode.New() }
	c.total.Store(-1)
	return c, nil
}

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// Close lets go of the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// identify puts on a request what every one of them carries.
func (c *Client) identify(req *http.Request) {
	req.Header.Set("X-API-Key", c.config.Key.Reveal())
	req.Header.Set("User-Agent", "Mozilla/5.0 (compatible; sluice/"+c.config.Version+")")
	req.Header.Set("Accept", "application/json")
}

// Total returns how many events the API said there are, in its last answer; false if it has not said.
func (c *Client) Total() (int64, bool) {
	n := c.total.Load()
	return n, n >= 0
}

// ClockOffset returns how far the API's clock is ahead of this machine's, by the Date of its last answer, to the second; false
// if no answer had one.
func (c *Client) ClockOffset() (time.Duration, bool) {
	if d := c.offset.Load(); d != nil {
		return *d, true
	}
	return 0, false
}

// Traffic is what the client did so far.
type Traffic struct {
	List, Stream               int64 // page requests
	ListRefused, StreamRefused int64 // 429s
	Retries, Access, Cached    int64
	Bytes                      int64
	Busy                       time.Duration // sum over all requests
}

// Traffic returns what was done so far.
func (c *Client) Traffic() Traffic {
	n := &c.count
	return Traffic{
		List: n.requests[1].Load(), Stream: n.requests[2].Load(),
		ListRefused: n.refused[1].Load(), StreamRefused: n.refused[2].Load(),
		Retries: n.retries.Load(), Access: n.access.Load(), Cached: n.cached.Load(), Bytes: n.bytes.Load(),
		Busy: time.Duration(n.busy.Load()),
	}
}
