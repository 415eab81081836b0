package apisim

import (
	"maps"
	"strconv"
	"sync"
	"time"
)

// bucket counts the requests of one key against one limit.
type bucket struct {
	algorithm Algorithm
	window    time.Duration
	log       []time.Time // of the requests that count, oldest first
	opened    time.Time   // of the fixed window
}

// verdict is the decision of a limit about one request, and the figures for its headers.
type verdict struct {
	allowed          bool
	limit, remaining int
	reset            time.Duration // until the oldest request leaves the window
}

// maxLogged bounds the log of a client that ignores refusals: beyond it the oldest entry is dropped early.
const maxLogged = 1 << 14

// take counts a request. In the real API's log a rejected request takes a place like an accepted one: a client that comes
// back exactly at the given time finds that its own rejected request has taken the free place.
func (b *bucket) take(limit int, now time.Time) verdict {
	if b.algorithm == FixedWindow {
		return b.takeFixed(limit, now)
	}
	b.forget(now)
	allowed := len(b.log) < limit
	if allowed || b.algorithm == SlidingAll {
		b.log = append(b.log, now)
	}
	reset := b.window
	if len(b.log) > 0 {
		reset = b.log[0].Add(b.window).Sub(now)
	}
	return verdict{allowed, limit, max(0, limit-len(b.log)), reset}
}

func (b *bucket) forget(now time.Time) {
	gone := max(0, len(b.log)-maxLogged)
	for gone < len(b.log) && now.Sub(b.log[gone]) >= b.window {
		gone++
	}
	b.log = b.log[:copy(b.log, b.log[gone:])]
}

func (b *bucket) takeFixed(limit int, now time.Time) verdict {
	if b.opened.IsZero() || now.Sub(b.opened) >= b.window {
		b.opened, b.log = now, b.log[:0]
	}
	allowed := len(b.log) < limit
	if allowed {
		b.log = append(b.log, now)
	}
	return verdict{allowed, limit, limit - len(b.log), b.opened.Add(b.window).Sub(now)}
}

// buckets holds one bucket for every key and limit.
type buckets struct {
	mu        sync.Mutex
	algorithm Algorithm
	of        map[bucketName]*bucket
}

type bucketName struct {
	endpoint Endpoint
	key      string
	inQuery  bool // the separate bucket of a key in the URL
}

// maxBuckets is how many buckets are kept before idle ones are dropped.
const maxBuckets = 4096

func (bs *buckets) take(name bucketName, limit Limit, now time.Time) verdict {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b := bs.of[name]
	if b == nil {
		bs.sweep(now)
		b = &bucket{algorithm: bs.algorithm, window: limit.Window}
		bs.of[name] = b
	}
	return b.take(limit.Requests, now)
}

func (bs *buckets) sweep(now time.Time) {
	if len(bs.of) < maxBuckets {
		return
	}
	maps.DeleteFunc(bs.of, func(_ bucketName, b *bucket) bool {
		return len(b.log) == 0 || now.Sub(b.log[len(b.log)-1]) >= b.window
	})
}

// seconds rounds up, as the API does.
func seconds(d time.Duration) int {
	return int((d + time.Second - 1) / time.Second)
}

// admit checks the key, the limit and the faults of a request. If it returns false, the request is answered.
func (x *exchange) admit() bool {
	return x.authorize() && x.limit() && !x.disturb()
}

// open is admit for an endpoint whose answers all take the same time.
func (x *exchange) open() bool { return x.admit() && x.restOther() == nil }

func (x *exchange) restOther() error { return x.rest(x.config.Latency.scaled(x.config.Latency.Other)) }

// authorize checks the key.
func (x *exchange) authorize() bool {
	x.key = x.r.Header.Get("X-API-Key")
	if x.key == "" {
		query := x.r.URL.Query()
		x.key, x.inQuery = query.Get("api_key")+query.Get("apiKey"), true
	}
	if refused := x.keys.check(x.key, x.arrived); refused != nil {
		x.refuse(*refused)
		return false
	}
	return true
}

// limitOf returns the limit of an endpoint.
func (s *Server) limitOf(e Endpoint) Limit {
	switch e {
	case List, Single:
		return s.config.List
	case Feed:
		if s.config.FeedShared {
			return Limit{s.config.List.Requests, s.config.List.Window, true}
		}
		return s.config.Feed
	case Sessions:
		return s.config.Sessions
	case Metrics:
		return s.config.Metrics
	case Bulk:
		return s.config.Bulk
	}
	return Limit{}
}

// limit counts the request against its endpoint's limit, and reports the count in the headers.
func (x *exchange) limit() bool {
	limit := x.limitOf(x.endpoint)
	if limit.Requests == 0 {
		return true
	}
	name := bucketName{endpoint: x.endpoint, key: x.key}
	if x.endpoint == Single || x.endpoint == Feed && x.config.FeedShared {
		name.endpoint = List
	}
	if x.inQuery && name.endpoint == List {
		limit.Requests, name.inQuery = x.config.QueryLimit, x.config.QuerySeparate
	}
	v := x.buckets.take(name, limit, x.arrived)
	if !limit.Hidden {
		x.set("X-RateLimit-Limit", strconv.Itoa(v.limit))
		x.set("X-RateLimit-Remaining", strconv.Itoa(v.remaining))
		x.set("X-RateLimit-Reset", strconv.Itoa(seconds(v.reset)))
	}
	if !v.allowed {
		x.refuseForNow(v.limit, seconds(v.reset))
	}
	return v.allowed
}
