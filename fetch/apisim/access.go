package apisim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
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

// maxKeys is how many keys are remembered; beyond that all are forgotten.
const maxKeys = 4096

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
	if k.first == nil || len(k.first) >= maxKeys {
		k.first = make(map[string]time.Time)
	}
	k.first[key] = now
	return now
}

// tokenHeader carries the stream's token.
const tokenHeader = "X-Stream-Token"

// tokens are the stream tokens that were issued. A new one does not end the old ones.
type tokens struct {
	life time.Duration

	mu      sync.Mutex
	expires map[string]time.Time
}

// maxTokens is how many tokens are kept before expired ones are dropped.
const maxTokens = 4096

func (t *tokens) issue(now time.Time) string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	token := hex.EncodeToString(raw[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.expires) >= maxTokens {
		maps.DeleteFunc(t.expires, func(_ string, expires time.Time) bool { return !now.Before(expires) })
	}
	t.expires[token] = now.Add(t.life)
	return token
}

// Tokens returns the tokens that were issued, for tests that search for them where they must not appear.
func (s *Server) Tokens() []string {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	return slices.Sorted(maps.Keys(s.tokens.expires))
}

func (t *tokens) good(token string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return now.Before(t.expires[token])
}

func (t *tokens) revoke(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.expires, token)
}

// RevokeTokens ends all tokens that were issued.
func (s *Server) RevokeTokens() {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	clear(s.tokens.expires)
}

// serveAccess issues a token to a client that looks like the dashboard.
func (x *exchange) serveAccess() {
	if !x.authorize() {
		return
	}
	if !x.passes() {
		x.refuse(problem{http.StatusForbidden, "This endpoint requires dashboard access", "DASHBOARD_REQUIRED"})
		return
	}
	if x.disturb() || x.rest(x.config.Latency.scaled(x.config.Latency.Token)) != nil {
		return
	}
	now := time.Now()
	x.send(http.StatusOK, contentJSON, fmt.Appendf(nil, `{"streamAccess":{"endpoint":"%s","token":"%s","expiresIn":%d,`+
		`"tokenHeader":"%s"},"meta":{"generatedAt":"%s","note":"Token is required in %s header when accessing the stream endpoint"}}`,
		feedPath, x.tokens.issue(now), int(x.config.TokenLife/time.Second), tokenHeader, now.UTC().Format(isoMillis), tokenHeader))
}

// passes reports whether the caller gets past the dashboard's gate.
func (x *exchange) passes() bool {
	_, noCookie := x.r.Cookie("dashboard_api_key")
	browser := strings.Contains(x.r.UserAgent(), "Mozilla/")
	switch x.config.Gate {
	case GateShut:
		return false
	case GateOrigin:
		return browser && x.r.Header.Get("Origin") != ""
	case GateCookie:
		return browser && noCookie == nil
	}
	return browser
}

// hasToken reports whether a request to the stream has a valid token; otherwise it is refused.
func (x *exchange) hasToken() bool {
	if x.endpoint != Feed || x.tokens.good(x.r.Header.Get(tokenHeader), time.Now()) {
		return true
	}
	x.refuse(problem{http.StatusForbidden, "Invalid or expired stream token", "INVALID_STREAM_TOKEN"})
	return false
}
