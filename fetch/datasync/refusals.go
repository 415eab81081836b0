package datasync

import (
	"sync"
	"time"

	"sluice/shard"
)

// A key is taken to be wrong if it was refused keyTries times in a row over keyTime, at every endpoint: one answer may be a mistake.
const (
	keyTries = 3
	keyTime  = 10 * time.Second
)

// An endpoint that refuses a question as such is left alone for refusalPause. From the third refusal in a row on the pause doubles, up
// to longestRefusal.
const (
	refusalPause   = 5 * time.Second
	longestRefusal = time.Minute
)

// refusals remembers which endpoints refuse to be asked at all, so that the other one goes on meanwhile.
type refusals struct {
	mu sync.Mutex
	of map[shard.Endpoint]refused
}

// refused is the refusals of one endpoint since its last page. Those that come in the pause are answers to the same mistake, and not
// counted.
type refused struct {
	times, keys int // in all, and of the key
	first, last time.Time
	err         error
}

func (r *refused) until() time.Time {
	if r.times == 0 {
		return time.Time{}
	}
	return r.last.Add(min(refusalPause<<max(0, min(r.times, 10)-keyTries), longestRefusal))
}

// note remembers a refusal: of the key, or of anything else.
func (r *refusals) note(door shard.Endpoint, key bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, now := r.of[door], time.Now()
	if now.Before(was.until()) {
		return
	}
	if was.times == 0 {
		was.first = now
	}
	was.times, was.last, was.err = was.times+1, now, err
	if key {
		was.keys++
	}
	if r.of == nil {
		r.of = map[shard.Endpoint]refused{}
	}
	r.of[door] = was
}

// forget ends the refusals of an endpoint that has answered.
func (r *refusals) forget(door shard.Endpoint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.of, door)
}

// shut returns the last refusal of an endpoint that must not be asked yet, with the time until then; nil for all others.
func (r *refusals) shut(door shard.Endpoint) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.of[door]
	wait := time.Until(was.until())
	if wait <= 0 {
		return nil
	}
	return &shard.TransientError{Err: was.err, After: wait}
}

// ofKey reports whether an endpoint has refused the key often and long enough to be believed.
func (r *refusals) ofKey(door shard.Endpoint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.of[door]
	return was.keys >= keyTries && was.last.Sub(was.first) >= keyTime
}
