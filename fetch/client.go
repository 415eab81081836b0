package fetch

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sluice/fetch/quota"
	"sluice/shard"
)

// Config is what a Client needs to know. The zero value of a field means its default.
type Config struct {
	Host     string // of the API: the name or address that the operator gave
	Fetchers int    // how many goroutines will ask at once; default 8
	PageSize int    // records asked for at first; the API's own limit then decides; default 100,000
	MaxBody  int64  // largest body within the memory budget, in bytes after decompression; default 160 MiB
	Pacer    *quota.Pacer
	Log      *slog.Logger

	Transport http.RoundTripper // carries the requests; default: NewTransport
	Seed      uint64            // of the pauses between tries, so that a simulation can be repeated; default: drawn

	HeaderTimeout time.Duration // from the request to the headers; default 30 s
	IdleTimeout   time.Duration // between two reads of a body; default 15 s
	TotalTimeout  time.Duration // of a request; default 5 min
	Tries         int           // of one request in a row; default 3
}

// WithDefaults returns the configuration with the default for every field that is zero.
func (c Config) WithDefaults() Config {
	c.Fetchers = cmp.Or(c.Fetchers, 8)
	c.PageSize = cmp.Or(c.PageSize, 100_000)
	c.MaxBody = cmp.Or(c.MaxBody, 160<<20)
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
	if c.Transport == nil && !Loopback(c.Host) {
		faults = append(faults, checkProxies())
	}
	if c.Pacer == nil {
		faults = append(faults, errors.New("a pacer is needed"))
	}
	return errors.Join(faults...)
}

// Client reads pages from an API. It is safe for concurrent use and starts no goroutine of its own; Pages makes it a
// shard.Source.
type Client struct {
	config Config
	api    API
	http   *http.Client
	pacer  *quota.Pacer

	granted atomic.Int64                  // records in a full page, as the API said; 0: not yet known
	given   atomic.Int64                  // records in the last page that had others after it; 0: there was none
	largest atomic.Int64                  // bytes of the largest of the last pages
	offset  atomic.Pointer[time.Duration] // the API's clock, ahead of ours

	doors   sync.Map // name of a door to its *doorTraffic
	retries atomic.Int64
	cached  atomic.Int64
	bytes   atomic.Int64
	beside  atomic.Int64 // requests that were not for a page
	busy    atomic.Int64 // nanoseconds spent in page requests
}

// New returns a client for an API, or everything that is wrong with its configuration.
func New(config Config, api API) (*Client, error) {
	config = config.WithDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	h := &http.Client{
		// Go would hand an API key on to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     config.Transport,
	}
	if h.Transport == nil {
		h.Transport = NewTransport(config)
	}
	return &Client{config: config, api: api, http: h, pacer: config.Pacer}, nil
}

// Close closes the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ClockOffset returns how far the API's clock is ahead of this machine's, by the Date of its last page, to the second; false
// if no page had one.
func (c *Client) ClockOffset() (time.Duration, bool) {
	if d := c.offset.Load(); d != nil {
		return *d, true
	}
	return 0, false
}

// Traffic is what a client has done since it was made.
type Traffic struct {
	Doors   map[shard.Endpoint]DoorTraffic
	Beside  int64         // requests that were not for a page, such as for a token
	Retries int64         // page requests that were repeated after a fault
	Cached  int64         // pages from the API's cache
	Bytes   int64         // of page answers, after decompression
	Busy    time.Duration // sum over all page requests
}

// DoorTraffic counts the page requests at one door.
type DoorTraffic struct {
	Requests int64
	Refused  int64 // for lack of quota
}

// doorTraffic is a DoorTraffic that counts.
type doorTraffic struct{ requests, refused atomic.Int64 }

func (c *Client) door(name shard.Endpoint) *doorTraffic {
	if d, ok := c.doors.Load(name); ok {
		return d.(*doorTraffic)
	}
	d, _ := c.doors.LoadOrStore(name, new(doorTraffic))
	return d.(*doorTraffic)
}

// Traffic returns what was done so far.
func (c *Client) Traffic() Traffic {
	t := Traffic{
		Doors: map[shard.Endpoint]DoorTraffic{}, Beside: c.beside.Load(), Retries: c.retries.Load(), Cached: c.cached.Load(),
		Bytes: c.bytes.Load(), Busy: time.Duration(c.busy.Load()),
	}
	c.doors.Range(func(name, d any) bool {
		n := d.(*doorTraffic)
		t.Doors[name.(shard.Endpoint)] = DoorTraffic{Requests: n.requests.Load(), Refused: n.refused.Load()}
		return true
	})
	return t
}
