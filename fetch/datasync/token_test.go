package datasync

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch/apisim"
	"sluice/shard"
)

// gate stands before the API and answers requests for stream access itself, while it has something to answer.
type gate struct {
	asked  atomic.Int64
	answer atomic.Pointer[http.HandlerFunc]
	last   atomic.Pointer[time.Time]
}

func (g *gate) between(next http.Handler, w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == accessPath {
		g.asked.Add(1)
		now := time.Now()
		g.last.Store(&now)
		if answer := g.answer.Load(); answer != nil {
			(*answer)(w, r)
			return
		}
	}
	next.ServeHTTP(w, r)
}

func (g *gate) set(h http.HandlerFunc) {
	if h == nil {
		g.answer.Store(nil)
		return
	}
	g.answer.Store(&h)
}

// answered is a handler for a whole answer.
func answered(status int, content, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", content)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

const (
	jsonType = "application/json"
	htmlPage = "<html><body>502 Bad Gateway</body></html>"
)

// While the door to the stream is out of order the list goes on, the door is not hammered, and it is used again when it works.
func TestTokenEndpointDown(t *testing.T) {
	for name, down := range map[string]http.HandlerFunc{
		"500":      answered(500, jsonType, `{"error":"x","message":"y","code":"INTERNAL_ERROR"}`),
		"502":      answered(502, "text/html", htmlPage),
		"HTML":     answered(200, "text/html", htmlPage),
		"null":     answered(200, jsonType, `null`),
		"{}":       answered(200, jsonType, `{}`),
		"empty":    answered(200, jsonType, ``),
		"string":   answered(200, jsonType, `"sorry"`),
		"no token": answered(200, jsonType, `{"streamAccess":{"endpoint":"/api/v1/feed","token":"","expiresIn":300,"tokenHeader":"X-Stream-Token"}}`),
		"error":    answered(200, jsonType, `{"error":"no"}`),
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = w.Write([]byte("{"))
		},
		"429":         answered(429, jsonType, `{}`),
		"dropped":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hangs":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"large":       answered(200, jsonType, strings.Repeat(" ", 2<<20)),
		"redirected":  answered(503, jsonType, ``, "Location", "http://evil.test/"),
		"not so long": answered(503, jsonType, ``, "Retry-After", "1"),
	} {
		t.Run(name, func(t *testing.T) {
			g := &gate{}
			g.set(down)
			play(t, scene{api: apisim.Config{Events: 3000}, caps: both, between: g.between}, func(w *world) {
				start := time.Now()
				w.wantEvents(w.must(w.walk(top, forever)), w.truth())
				if took := time.Since(start); took > 40*time.Second {
					w.t.Errorf("the list took %v for 30 pages", took)
				}
				byTime := shard.Position{End: w.truth()[0].At + 1}
				_, err := w.walk(byTime, 1)
				wantTransient(w.t, err)
				for time.Since(start) < 10*time.Minute {
					_, _ = w.walk(byTime, 1)
					time.Sleep(100 * time.Millisecond)
				}
				if n := g.asked.Load(); n < 5 || n > 20 {
					w.t.Errorf("stream access was asked for %d times in 10 minutes", n)
				}
				g.set(nil)
				time.Sleep(time.Minute)
				w.must(w.walk(byTime, 1))
			})
		})
	}
}

// How long the API wants to be left alone holds at this door too.
func TestTokenEndpointIsLeftAloneAsLongAsItWants(t *testing.T) {
	g := &gate{}
	g.set(answered(429, jsonType, `{"rateLimit":{"retryAfter":100}}`))
	play(t, scene{api: apisim.Config{Events: 300}, caps: both, between: g.between}, func(w *world) {
		start := time.Now()
		for n := int64(1); n <= 3; n++ {
			for g.asked.Load() == n-1 {
				_, err := w.walk(shard.Position{End: w.truth()[0].At + 1}, 1)
				wantTransient(w.t, err)
				time.Sleep(time.Second)
			}
			if at := g.last.Load().Sub(start); at < time.Duration(n-1)*100*time.Second {
				w.t.Errorf("request %d after %v", n, at)
			}
		}
		g.set(answered(503, jsonType, ``, "Retry-After", "1000000"))
		time.Sleep(100 * time.Second)
		_, err := w.walk(shard.Position{End: w.truth()[0].At + 1}, 1)
		wantStop(w.t, err, shard.WaitTooLong)
		w.must(w.walk(top, 1)) // the list knows nothing of it
	})
}

// Wherever the reply points, the key and the token go nowhere else, and the list goes on alone.
func TestHostileStreamAccessIsRefused(t *testing.T) {
	const good = `"/api/v1/events/d4ta/x7k9/feed"`
	for name, c := range map[string]struct{ endpoint, header, token string }{
		"another host":      {`"http://evil.test/api/v1/feed"`, `"X-Stream-Token"`, `"tokentoken"`},
		"another scheme":    {`"https://api.test/api/v1/feed"`, `"X-Stream-Token"`, `"tokentoken"`},
		"another port":      {`"http://api.test:81/api/v1/feed"`, `"X-Stream-Token"`, `"tokentoken"`},
		"userinfo":          {`"http://api.test@evil.test/api/v1/feed"`, `"X-Stream-Token"`, `"tokentoken"`},
		"network path":      {`"//evil.test/api/v1/feed"`, `"X-Stream-Token"`, `"tokentoken"`},
		"path":              {`"/internal/admin"`, `"X-Stream-Token"`, `"tokentoken"`},
		"dots":              {`"/api/../admin"`, `"X-Stream-Token"`, `"tokentoken"`},
		"no endpoint":       {`""`, `"X-Stream-Token"`, `"tokentoken"`},
		"Host":              {good, `"Host"`, `"evil.test"`},
		"Authorization":     {good, `"Authorization"`, `"Bearer 1"`},
		"Cookie":            {good, `"Cookie"`, `"a=b"`},
		"our own":           {good, `"x-api-key"`, `"another"`},
		"Transfer-Encoding": {good, `"Transfer-Encoding"`, `"chunked"`},
		"CRLF in the name":  {good, `"X-A\r\nX-Evil"`, `"tokentoken"`},
		"CRLF in the token": {good, `"X-Stream-Token"`, `"tokentoken\r\nX-Evil: 1"`},
		"NUL in the token":  {good, `"X-Stream-Token"`, `"tokentoken\u0000"`},
		"no header":         {good, `""`, `"tokentoken"`},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gate{}
			g.set(answered(200, jsonType, fmt.Sprintf(`{"streamAccess":{"endpoint":%s,"token":%s,"expiresIn":300,"tokenHeader":%s}}`, c.endpoint, c.token, c.header)))
			play(t, scene{api: apisim.Config{Events: 500}, caps: both, between: g.between}, func(w *world) {
				w.wantEvents(w.must(w.walk(top, forever)), w.truth())
				if page := w.must(w.walk(shard.Position{End: w.truth()[0].At + 1}, 1))[0]; page.Endpoint != List {
					w.t.Errorf("a page from the %s", page.Endpoint)
				}
				if n := g.asked.Load(); n != 1 {
					w.t.Errorf("asked %d times", n)
				}
				w.pipe.hosts.Range(func(host, _ any) bool {
					if host != "api.test:80" {
						w.t.Errorf("talked to %s", host)
					}
					return true
				})
			})
		})
	}
}

// However long the API says that a token lives, it is asked for no more than about every four seconds, and a slow door is no
// reason to ask again before the first page.
func TestTokenLifeIsBelievedWithinReason(t *testing.T) {
	for expiresIn, most := range map[string]int64{
		`0`: 80, `-1`: 80, `"0"`: 80, `null`: 80, `{}`: 80, `"NaN"`: 80, `1e-9`: 80,
		`60`: 7, `"60"`: 7, `300`: 2, `1e12`: 1, `1e400`: 1, `"Inf"`: 1,
	} {
		t.Run(expiresIn, func(t *testing.T) {
			g := &gate{}
			g.set(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(10 * time.Second)
				_, _ = fmt.Fprintf(w, `{"streamAccess":{"endpoint":"/api/v1/events/d4ta/x7k9/feed","token":"anything","expiresIn":%s,"tokenHeader":"X-Stream-Token"}}`, expiresIn)
			})
			play(t, scene{caps: both, answer: func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", jsonType)
				g.between(fixed(emptyPage), w, r)
			}}, func(w *world) {
				start, pages := time.Now(), 0
				for ; time.Since(start) < 5*time.Minute; time.Sleep(time.Second) {
					pages += len(w.must(w.walk(shard.Position{End: 1_770_000_000_000_000}, 1)))
				}
				if n := g.asked.Load(); n > most || pages < 60 {
					w.t.Errorf("asked %d times for %d pages", n, pages)
				}
			})
		})
	}
}

// A token that is taken back while all use it is renewed once, for all of them, and no page is lost. Those whose refusal comes
// late must not throw the new one away.
func TestRevokedTokenIsRenewedOnce(t *testing.T) {
	var requests atomic.Int64
	late := func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != accessPath {
			time.Sleep(time.Duration(requests.Add(1)%8) * 300 * time.Millisecond)
		}
		next.ServeHTTP(w, r)
	}
	play(t, scene{api: apisim.Config{Events: 4000}, caps: both, between: late}, func(w *world) {
		truth := w.truth()
		var fetchers sync.WaitGroup
		for i := range 8 {
			fetchers.Go(func() {
				for n := range 20 {
					from := truth[200*n+20*i]
					page := w.must(w.walk(shard.Position{End: from.At + 1}, 1))[0]
					if page.Endpoint != Stream || len(page.Events) == 0 {
						w.t.Errorf("a page of %d events from the %s", len(page.Events), page.Endpoint)
					}
				}
			})
		}
		time.Sleep(10 * time.Second)
		w.sim.RevokeTokens()
		fetchers.Wait()
		if n := w.Traffic().Access; n != 2 {
			w.t.Errorf("stream access was asked for %d times", n)
		}
	})
}

// A stream that takes no token, however fresh, fails a shard, but not at once: somebody else may be taking out tokens.
func TestStreamThatRefusesFreshTokens(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: both}, func(w *world) {
		w.sim.Control(apisim.Feed, func(*http.Request) apisim.Fault { return apisim.RevokedToken() })
		_, err := w.walk(shard.Position{End: w.truth()[0].At + 1}, 1)
		wantStuck(w.t, err)
		if n := w.Traffic().Access; n != 2 {
			w.t.Errorf("stream access was asked for %d times", n)
		}
	})
}

// A key that is refused at the stream's door is refused everywhere.
func TestKeyRefusedAtTheTokenEndpoint(t *testing.T) {
	g := &gate{}
	g.set(answered(401, jsonType, `{"error":"Unauthorized","message":"the key `+canary+` has expired","code":"API_KEY_EXPIRED"}`))
	play(t, scene{api: apisim.Config{Events: 500}, caps: both, between: g.between}, func(w *world) {
		_, err := w.walk(shard.Position{End: w.truth()[0].At + 1}, 1)
		wantStop(w.t, err, shard.Refused)
	})
}
