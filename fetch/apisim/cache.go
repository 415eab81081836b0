package apisim

import (
	"net/url"
	"sync"
	"time"
)

// cache repeats answers, bad ones too. It keeps how a page is made and not its text, so that its size does not matter.
type cache struct {
	life time.Duration

	mu    sync.Mutex
	pages map[string]cachedPage
	names []string // oldest first
}

type cachedPage struct {
	page page
	born time.Time
}

// mostCached answers are kept, the oldest is forgotten first.
const mostCached = 4096

// cacheName is the whole query without the key, in one order.
func cacheName(endpoint Endpoint, query url.Values) string {
	query.Del("api_key")
	query.Del("apiKey")
	return string(endpoint) + "?" + query.Encode()
}

func (c *cache) get(name string, now time.Time) (page, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.pages[name]
	return p.page, ok && now.Sub(p.born) < c.life
}

func (c *cache) put(name string, p page, now time.Time) {
	if c.life <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages == nil {
		c.pages = make(map[string]cachedPage)
	}
	if _, known := c.pages[name]; !known {
		c.names = append(c.names, name)
	}
	c.pages[name] = cachedPage{p, now}
	if len(c.names) > mostCached {
		delete(c.pages, c.names[0])
		c.names = c.names[1:]
	}
}
