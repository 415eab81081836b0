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

// tokenHeader carries the stream's token.
const tokenHeader = "X-Stream-Token"

// tokens are the keys to the stream that were given out. A new one does not end the old ones.
type tokens struct {
	life time.Duration

	mu      sync.Mutex
	expires map[string]time.Time
}

// mostTokens are kept before those that have expired are dropped.
const mostTokens = 4096

func (t *tokens) issue(now time.Time) string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails
	token := hex.EncodeToString(raw[:])
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.expires) >= mostTokens {
		maps.DeleteFunc(t.expires, func(_ string, expires time.Time) bool { return !now.Before(expires) })
	}
	if t.expires == nil {
		t.expires = make(map[string]time.Time)
	}
	t.expires[token] = now.Add(t.life)
	return token
}

// Tokens returns the tokens that were given out, for tests that look for them where they must not be.
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

// RevokeTokens ends all tokens that were given out.
func (s *Server) RevokeTokens() {
	s.tokens.mu.Lock()
	defer s.tokens.mu.Unlock()
	clear(s.tokens.expires)
}

// serveAccess gives a token to whoever looks like the dashboard.
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

// passes looks at the caller as the dashboard's gate does.
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

// hasToken asks a request to the stream for its token.
func (x *exchange) hasToken() bool {
	if x.endpoint != Feed || x.tokens.good(x.r.Header.Get(tokenHeader), time.Now()) {
		return true
	}
	x.refuse(problem{http.StatusForbidden, "Invalid or expired stream token", "INVALID_STREAM_TOKEN"})
	return false
}
