package datasync

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/fetch"
	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
)

// gate stands before the API and answers requests for stream access itself while it has an answer.
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

// While the token endpoint is down the list goes on, the endpoint is not hammered, and it is used again when it works.
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

// A Retry-After holds at the token endpoint, too.
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
		if wait := wantTransient(w.t, err).After; wait < 23*time.Hour {
			w.t.Errorf("it is asked again after %v", wait)
		}
		w.must(w.walk(top, 1)) // the list knows nothing of it
	})
}

// Wherever the reply points, the key and the token go to no other host, and the list goes on alone.
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
				byTime := shard.Position{End: w.truth()[0].At + 1}
				pages, err := w.walk(byTime, 1)
				for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); pages, err = w.walk(byTime, 1) {
					time.Sleep(time.Second)
				}
				if page := w.must(pages, err)[0]; page.Endpoint != List {
					w.t.Errorf("a page from the %s", page.Endpoint)
				}
				if n := g.asked.Load(); n > accessTries+1 {
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

// However long a token lives according to the API, one is requested no more than about every four seconds, and a slow answer is no
// reason to request another before the first page.
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

// A token that is revoked while all fetchers use it is renewed once for all of them, and no page is lost. A refusal that comes late
// must not drop the new token.
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
		if n := w.Traffic().Beside; n != 2 {
			w.t.Errorf("stream access was asked for %d times", n)
		}
	})
}

// A stream that refuses every token, however fresh, fails a shard, but not at once: another client may be taking out tokens.
func TestStreamThatRefusesFreshTokens(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: both}, func(w *world) {
		w.sim.Control(apisim.Feed, func(*http.Request) apisim.Fault { return apisim.RevokedToken() })
		_, err := w.walk(shard.Position{End: w.truth()[0].At + 1}, 1)
		wantStuck(w.t, err)
		if n := w.Traffic().Beside; n != 2 {
			w.t.Errorf("stream access was asked for %d times", n)
		}
	})
}

// A key that only the token endpoint refuses may be good: the list goes on.
func TestKeyRefusedAtTheTokenEndpoint(t *testing.T) {
	g := &gate{}
	g.set(answered(401, jsonType, `{"error":"Unauthorized","message":"the key `+canary+` has expired","code":"API_KEY_EXPIRED"}`))
	play(t, scene{api: apisim.Config{Events: 500}, caps: both, between: g.between}, func(w *world) {
		for range 60 {
			w.must(w.walk(top, 1))
			time.Sleep(time.Second)
		}
		_, err := w.walk(shard.Position{End: w.truth()[0].At + 1}, 1)
		wantTransient(w.t, err)
	})
}

// A token must not die on its way to the API: it is renewed while there is time.
func TestNoTokenDiesOnItsWay(t *testing.T) {
	slow := func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			time.Sleep(time.Second)
		}
		next.ServeHTTP(w, r)
	}
	play(t, scene{api: apisim.Config{Events: 500, TokenLife: time.Minute}, caps: both, between: slow}, func(w *world) {
		newest := shard.Position{End: w.truth()[0].At + 1}
		for range 100 {
			w.must(w.walk(newest, 1))
		}
		if n := w.counts(apisim.Feed); n.Failed > 0 || n.Requests != 100 {
			t.Errorf("%d of %d requests came with a dead token", n.Failed, n.Requests)
		}
	})
}

// A token that is due for renewal, but whose renewal has just failed, is still good. All fetchers requested it again and again,
// without a pause, until the next try was due: in virtual time for ever. The simulation found it.
func TestFailedRenewalDoesNotSpin(t *testing.T) {
	watchdog := time.AfterFunc(time.Minute, func() { panic("spins") }) // outside of the bubble, whose time would stand still
	defer watchdog.Stop()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scene{api: apisim.Config{Events: 500, TokenLife: 100 * time.Second}, caps: both})
		defer w.end()
		place := shard.Position{End: shard.InstantOf(w.sim.Config().Newest)} // only the stream can be asked for it
		w.must(w.walk(place, 1))
		time.Sleep(85 * time.Second)
		w.sim.Script(apisim.Access, slices.Repeat([]apisim.Fault{apisim.Status(503)}, 3)...)
		pages, err := w.walk(place, 1)
		if err != nil || pages[0].Endpoint != Stream {
			t.Fatalf("%d pages, %v", len(pages), err)
		}
		if n := w.counts(apisim.Access).Requests; n != 2 {
			t.Errorf("%d requests for access, want the first and one to renew it", n)
		}
	})
}

// TestAPanicInTheSharedRequestIsCarried: singleflight ends the process at a panic in its own goroutine, so the panic is carried to
// the goroutines that wait, where their shard's guard catches it.
func TestAPanicInTheSharedRequestIsCarried(t *testing.T) {
	pacer, err := quota.NewPacer(quota.Config{Quotas: Quotas(quota.Limit{}, quota.Limit{})})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Config{BaseURL: "http://api.test", Key: canary, Fetch: fetch.Config{Pacer: pacer,
		Transport: roundTrip(func(*http.Request) (*http.Response, error) { panic("a bug") })}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if text, ok := recover().(string); !ok || !strings.Contains(text, "a bug") || !strings.Contains(text, "access_test.go") {
			t.Errorf("caught %q", text)
		}
	}()
	_, err = c.tokens.get(t.Context(), time.Millisecond)
	t.Errorf("no panic, %v", err)
}

// During a pause not even access to the stream is requested.
func TestAShutGateAsksForNoAccess(t *testing.T) {
	door, at := new(gate), new(shard.Pause)
	limits := unlimited
	limits.Pause = at
	play(t, scene{between: door.between, caps: both, pacer: limits}, func(w *world) {
		at.Toggle()
		var walking sync.WaitGroup
		walking.Go(func() { _, _ = w.walk(top, 1) })
		time.Sleep(24 * time.Hour)
		if n := door.asked.Load(); n != 0 || w.asked() != 0 {
			t.Errorf("%d requests for access and %d for pages", n, w.asked())
		}
		at.Toggle()
		walking.Wait()
		if w.asked() != 1 {
			t.Errorf("%d requests after the gate was opened", w.asked())
		}
	})
}

func TestEndpointStaysAtTheOrigin(t *testing.T) {
	origin, err := parseOrigin("https://api.example.com/api/v1/")
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"/api/v1/events/d4ta/x7k9/feed":            "https://api.example.com/api/v1/events/d4ta/x7k9/feed",
		"https://API.example.com:443/api/v1/feed":  "https://api.example.com/api/v1/feed",
		"/api/v1/feed?x=1#f":                       "https://api.example.com/api/v1/feed",
		"//evil.com/api/x":                         "",
		"https://evil.com/api/x":                   "",
		"http://api.example.com/api/x":             "",
		"https://api.example.com@evil.com/api/x":   "",
		"https://api.example.com.evil.com/api/x":   "",
		"https://user:pw@api.example.com/api/x":    "",
		"//api.example.com:8443/api/x":             "",
		"http://169.254.169.254/api/x":             "",
		"javascript:alert(1)":                      "",
		"file:///api/passwd":                       "",
		"https:evil":                               "",
		"https:///api/x":                           "",
		"/../../admin":                             "",
		"/api/../admin":                            "",
		"/api/%2e%2e/admin":                        "",
		"/api/%2fadmin":                            "",
		`/\evil.com/api/`:                          "",
		"/admin":                                   "",
		"":                                         "",
		"?x=1":                                     "",
		"/api/x\r\nX: y":                           "",
		"/api/\x00":                                "",
		"/api/" + strings.Repeat("x", maxEndpoint): "",
		"/api/v1//feed":                            "",
		"/api":                                     "",
	} {
		u, err := resolveEndpoint(origin, given)
		switch {
		case want == "" && err == nil:
			t.Errorf("%.60q is taken as %s", given, u)
		case want != "" && err != nil:
			t.Errorf("%.60q is refused: %v", given, err)
		case want != "" && u.String() != want:
			t.Errorf("%.60q is taken as %s, want %s", given, u, want)
		}
	}
}

func FuzzResolveEndpoint(f *testing.F) {
	for _, s := range []string{"/api/v1/x", "//evil.com/api/", "/api/%2e%2e/x", "https://api.example.com:443/api/x", "/api/a%20b?c#d",
		"https://api.example.com@evil.com/api/", `/\evil.com/api/`, "/api/%252e%252e/x", "/api/é", "https:api/x", "/api/;x=1"} {
		f.Add(s)
	}
	origin := &url.URL{Scheme: "https", Host: "api.example.com"}
	f.Fuzz(func(t *testing.T, given string) {
		u, err := resolveEndpoint(origin, given)
		if err != nil {
			return
		}
		if u.Scheme != "https" || u.Host != "api.example.com" || u.User != nil || !strings.HasPrefix(u.Path, "/api/") ||
			strings.Contains(u.String(), "..") {
			t.Errorf("%q leads to %s", given, u)
		}
		if again, err := resolveEndpoint(origin, u.String()); err != nil || again.String() != u.String() {
			t.Errorf("%q leads to %s, which leads to %v, %v", given, u, again, err)
		}
	})
}

func TestTokenHeaderIsOnAnAllowList(t *testing.T) {
	for name, ok := range map[string]bool{
		"X-Stream-Token": true, "x-token": true, "X-API-Key": false, "Host": false, "Authorization": false, "": false,
		"X-\r\nY": false, "X-Requested-With": false, "X-" + strings.Repeat("a", 41): false,
	} {
		if err := checkTokenHeader(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
