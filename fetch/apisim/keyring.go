package apisim

import (
	"net/http"
	"sync"
	"time"
)

// keyring knows which keys are good. A key's life begins with its first use.
type keyring struct {
	only        string
	life        time.Duration
	revokeAfter int64

	mu    sync.Mutex
	uses  int64
	first map[string]time.Time
}

// mostKeys are remembered by their first use; more than that are forgotten together.
const mostKeys = 4096

// check returns why a key is refused, or nil. The bodies of these answers are not recorded anywhere: they have the shape of
// all others.
func (k *keyring) check(key string, now time.Time) *problem {
	switch {
	case key == "":
		return &problem{http.StatusUnauthorized, "API key is required", "API_KEY_REQUIRED"}
	case k.only != "" && key != k.only:
		return &problem{http.StatusUnauthorized, "Invalid API key", "INVALID_API_KEY"}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.uses++
	first := k.begin(key, now)
	switch {
	case k.revokeAfter > 0 && k.uses > k.revokeAfter:
		return &problem{http.StatusUnauthorized, "API key has been revoked", "API_KEY_REVOKED"}
	case k.life > 0 && now.Sub(first) >= k.life:
		return &problem{http.StatusUnauthorized, "API key has expired", "API_KEY_EXPIRED"}
	}
	return nil
}

// since returns how long a key has been in use.
func (k *keyring) since(key string, now time.Time) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return now.Sub(k.begin(key, now))
}

// begin returns when a key was used first.
func (k *keyring) begin(key string, now time.Time) time.Time {
	first, ok := k.first[key]
	if ok {
		return first
	}
	if k.first == nil || len(k.first) >= mostKeys {
		k.first = make(map[string]time.Time)
	}
	k.first[key] = now
	return now
}
