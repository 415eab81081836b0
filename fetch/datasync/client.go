// Package datasync reads the events of the DataSync API. It is the description of that API for package fetch, which does
// everything that is the same for any API.
//
// The API has two endpoints for the same events, each with a quota of its own: the list (GET /api/v1/events), and the stream, whose
// address and token are given out to the API's dashboard for five minutes at a time. Which of them can be asked for a window of
// time, and which only for the page after a cursor, differs between servers: Survey finds out, and the ladder (ladder.go) turns
// a position into the best question that they take.
//
// Read it in this order: client.go (configuration), ladder.go (a position becomes a question), api.go (a question becomes a
// request, an answer a page), access.go (the stream's token), newest.go and survey.go.
//
// A further endpoint of this API takes a name beside List and Stream, a quota in Quotas, its conditions in Doors and usable,
// and its address in Request. Nothing changes in packages fetch and quota.
package datasync

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"sluice/fetch"
	"sluice/fetch/decode"
	"sluice/fetch/quota"
)

// Config is what a Client needs to know. The zero value of a field means its default.
type Config struct {
	BaseURL     string // origin of the API, with or without /api/v1
	Key         fetch.Secret
	Version     string // for the User-Agent
	MadeCursors bool   // a cursor may be made if nothing else leads back to a resume point
	RequireTLS  bool   // refuse plain http to other machines

	Fetch fetch.Config // Host is filled in
}

// Client reads the events of a DataSync API. It is safe for concurrent use and starts no goroutine of its own, apart from that of
// a shared request for a token; Pages makes it a shard.Source.
type Client struct {
	*fetch.Client
	config  Config
	origin  *url.URL
	pacer   *quota.Pacer
	log     *slog.Logger
	tokens  tokens
	refused refusals
	ladder  ladder
	newest  newest
	wording atomic.Int64 // of the last question for the newest page
	total   atomic.Int64 // events there are, as the API said last; -1 means it has not said

	unknown  sync.Map // names of unknown fields that were warned of
	unknowns atomic.Int64
	decoders sync.Pool
}

// New returns a client, or everything that is wrong with its configuration.
func New(config Config) (*Client, error) {
	config.Version = cmp.Or(config.Version, "dev")
	config.Fetch = config.Fetch.WithDefaults()
	origin, err := parseOrigin(config.BaseURL)
	if err == nil {
		config.Fetch.Host = origin.Hostname()
	}
	c := &Client{config: config, origin: origin, pacer: config.Fetch.Pacer, log: config.Fetch.Log}
	var invalid error
	c.Client, invalid = fetch.New(config.Fetch, api{c})
	if err := errors.Join(err, invalid, checkHeaderValue("TARGET_API_KEY", config.Key.Reveal())); err != nil {
		return nil, err
	}
	if origin.Scheme == "http" && !fetch.Loopback(origin.Hostname()) {
		if config.RequireTLS {
			return nil, errors.New("API_BASE_URL is plain http and --require-tls is set: the key would travel in the clear")
		}
		c.log.Warn("API_BASE_URL is plain http: the key travels in the clear", "host", origin.Host)
	}
	c.tokens.client = c
	c.ladder.made = config.MadeCursors
	c.decoders.New = func() any { return decode.New() }
	c.total.Store(-1)
	return c, nil
}

// Total returns how many events the API said there are, in its last answer; false if it has not said.
func (c *Client) Total() (int64, bool) {
	n := c.total.Load()
	return n, n >= 0
}

// Quotas returns the quotas of the two endpoints, the preferred one first. The zero Limit means a limit is learned.
func Quotas(list, stream quota.Limit) []quota.Spec {
	return []quota.Spec{
		{Name: string(List), Limit: list, Announced: true}, // in the X-RateLimit headers
		{Name: string(Stream), Limit: stream},
	}
}

const (
	apiPath  = "/api/v1"
	listPath = "/api/v1/events"
)

// parseOrigin reads API_BASE_URL: an origin, with or without /api/v1.
func parseOrigin(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil {
		return nil, errors.New("API_BASE_URL is not a URL (its text is not shown, it may hold a secret)")
	}
	trimmed := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), apiPath)
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("API_BASE_URL begins with %q, it must begin with https:// or http://", u.Scheme)
	case u.Host == "":
		return nil, errors.New("API_BASE_URL names no host")
	case u.User != nil:
		return nil, errors.New("API_BASE_URL holds a user or a password: leave them out, the key belongs in TARGET_API_KEY")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("API_BASE_URL has a query or a fragment: give the origin alone, such as https://host")
	case trimmed != "":
		return nil, fmt.Errorf("API_BASE_URL has the path %q: give the origin, with or without %s", u.Path, apiPath)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// checkHeaderValue allows what may stand in a header: with a line break in it, it could add headers of its own. The value is
// not shown, it is a secret.
func checkHeaderValue(what, secret string) error {
	if strings.ContainsFunc(secret, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%s has characters that no header may have", what)
	}
	return nil
}
