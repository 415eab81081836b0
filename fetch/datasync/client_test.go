package datasync

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch"
	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
)

func TestRequireTLS(t *testing.T) {
	for url, refused := range map[string]bool{
		"http://api.example.com": true, "https://api.example.com": false, "http://127.0.0.1:8080": false, "http://localhost": false,
	} {
		_, err := New(Config{BaseURL: url, Key: canary, RequireTLS: true, Fetch: fetch.Config{Pacer: newTestPacer(t, unlimited)}})
		if (err != nil) != refused {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestOriginIsReadStrictly(t *testing.T) {
	for given, want := range map[string]string{
		"https://h":          "https://h",
		"http://h:8080/":     "http://h:8080",
		"https://h/api/v1":   "https://h",
		" https://h/api/v1/": "https://h",
		"h":                  "",
		"ftp://h":            "",
		"https://":           "",
		"https://u:p@h":      "",
		"https://h/?k=v":     "",
		"https://h/api/v2":   "",
		"https://h/#x":       "",
		"https://h:x":        "",
	} {
		u, err := parseOrigin(given)
		if (err == nil) != (want != "") || err == nil && u.String() != want {
			t.Errorf("%q: %v, %v, want %q", given, u, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Errorf("%q: the error shows the password: %v", given, err)
		}
	}
}

// The way in which a request is made unrepeatable must not show: some servers refuse a GET with a body, or with the length of one.
func TestRequestOnTheWireIsAPlainGET(t *testing.T) {
	got := make(chan string, 1)
	address := serveTCP(t, func(c *net.TCPConn) {
		r := bufio.NewReader(c)
		got <- head(r)
		_, _ = c.Write([]byte(reply(200, "Connection: close\r\n", emptyPage)))
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if rest, _ := r.ReadString(0); rest != "" {
			t.Errorf("%q follows the head", rest)
		}
	})
	client, text := dialled(t, "http://"+address, Config{Version: "1"})
	if _, err := first(t, client, text); err != nil {
		t.Fatal(err)
	}
	want := "GET /api/v1/events?limit=100 HTTP/1.1\r\nHost: " + address +
		"\r\nUser-Agent: Mozilla/5.0 (compatible; sluice/1)\r\nAccept: application/json\r\nX-Api-Key: " + canary + "\r\nAccept-Encoding: gzip\r\n\r\n"
	if head := <-got; head != want {
		t.Errorf("sent\n%q, want\n%q", head, want)
	}
}

// Go would follow a redirect to another host and hand X-API-Key on to it. No redirect is followed, not even on the same host, and
// the key never reaches the other server.
func TestRedirectsAreRefused(t *testing.T) {
	var strangers atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strangers.Add(1)
		fixed(emptyPage)(w, r)
	}))
	defer stranger.Close()
	for _, status := range []int{301, 302, 303, 307, 308, 300, 304} {
		for _, to := range []string{stranger.URL + listPath, "/api/v1/elsewhere", "//" + stranger.Listener.Addr().String() + "/"} {
			var asked atomic.Int64
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			}))
			client, text := dialled(t, api.URL, Config{})
			_, err := first(t, client, text)
			wantStuck(t, err)
			client.SetCapabilities(both)
			client.tokens.wait(0)
			for _, err = range client.Pages(t.Context(), shard.Position{End: 1}) {
			}
			wantTransient(t, err)
			if asked.Load() != 2 {
				t.Errorf("%d to %s: %d requests, want one for a page and one for access", status, to, asked.Load())
			}
			api.Close()
		}
	}
	if n := strangers.Load(); n > 0 {
		t.Errorf("%d requests came to another server", n)
	}
}

var (
	// allTold are the true limits, known from the start.
	allTold = quota.Config{Quotas: Quotas(quota.Limit{N: 10, Window: time.Minute}, quota.Limit{N: 50, Window: time.Minute})}
	// hidden are the true limits, to be learned.
	hidden = quota.Config{Quotas: Quotas(quota.Limit{}, quota.Limit{})}
)

// The whole client under the true quotas: requests on connections, tokens that end every five minutes, cursors that
// live for two. The pacer alone, in TestPacerUsesTheQuota, knows nothing of them.
//
// 60 of 60.3 s, which is 99.5 %, is the most: that much is the margin where the server's cursors tell when it saw a request. With 64
// fetchers it was 95.1 %: when a token was renewed, every fetcher in line took its slot with the old one, and gave it back unused.
func TestTheClientUsesTheQuota(t *testing.T) {
	for _, c := range []struct {
		fetchers int
		pacer    quota.Config
		refused  int64 // at most, by the stream
	}{
		{8, allTold, 0}, {64, allTold, 0}, {8, hidden, 1}, {64, hidden, 1},
	} {
		t.Run(fmt.Sprintf("%d fetchers, stream %s", c.fetchers, c.pacer.Quotas[1].Limit), func(t *testing.T) {
			api, err := apisim.Profile(apisim.Challenge)
			if err != nil {
				t.Fatal(err)
			}
			play(t, scene{api: api, pacer: c.pacer, caps: both}, func(w *world) {
				w.readFor(45*time.Minute, c.fetchers)
				list, stream := w.pacer.Status()[0], w.pacer.Status()[1]
				if list.Used < 0.99 || stream.Used < 0.99 {
					t.Errorf("used %.4f of the list and %.4f of the stream, want 0.99", list.Used, stream.Used)
				}
				if got := w.counts(apisim.List).Limited; got > 0 {
					t.Errorf("the list refused %d times, want never", got)
				}
				if got := w.counts(apisim.Feed).Limited; got > c.refused {
					t.Errorf("the stream refused %d times, want at most %d", got, c.refused)
				}
				w.wantNoLockStep(apisim.Feed)
			})
		})
	}
}

// readFor lets fetchers read for a while, each in a window of its own.
func (w *world) readFor(d time.Duration, fetchers int) {
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	var fetching sync.WaitGroup
	for i := range fetchers {
		fetching.Go(func() {
			end := shard.Instant(w.sim.Data().Event(int64((i+1)*40_000)).OrderMS * 1000)
			_, _ = w.walkWith(ctx, shard.Position{End: end}, forever)
		})
	}
	fetching.Wait()
}

// wantNoLockStep fails the test if two requests came in together: if all fetchers moved at once, one jam would follow the other.
func (w *world) wantNoLockStep(e apisim.Endpoint) {
	w.t.Helper()
	var at []time.Time
	for _, r := range w.sim.Requests() {
		if r.Endpoint == e {
			at = append(at, r.At)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	for i := range at[1:] {
		if apart := at[i+1].Sub(at[i]); apart < time.Second/quotaSpeed-time.Millisecond {
			w.t.Fatalf("two requests within %s, want them %s apart", apart, time.Second/quotaSpeed)
		}
	}
}

// Another client has just sent the same as every third request, whose answer comes from the cache and is free: a client that
// counted it would leave a third of the quota unused.
func TestTheClientGivesBackWhatWasFree(t *testing.T) {
	api, err := apisim.Profile(apisim.Challenge)
	if err != nil {
		t.Fatal(err)
	}
	api.FreeHits = true
	var n atomic.Int64
	before := func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if k := n.Add(1); k%3 == 0 && r.Method == http.MethodGet {
			other := r.Clone(r.Context())
			other.Header.Set("X-API-Key", fmt.Sprintf("ds_%032x", k))
			next.ServeHTTP(httptest.NewRecorder(), other)
		}
		next.ServeHTTP(w, r)
	}
	play(t, scene{api: api, pacer: allTold, caps: both, between: before}, func(w *world) {
		w.readFor(20*time.Minute, 16)
		if got := w.counts(apisim.Feed).Limited + w.counts(apisim.List).Limited; got > 0 {
			t.Errorf("refused %d times, want never", got)
		}
		all := w.Traffic()
		if paid := float64(w.Requests() - all.Cached); paid < 0.95*20*60 || all.Cached < 300 {
			t.Errorf("%.0f requests paid for and %d free, want at least 1140 and 300", paid, all.Cached)
		}
	})
}

// BenchmarkPages walks pages of 5,000 events, from the question to the decoded records, without a network.
func BenchmarkPages(b *testing.B) {
	const events = 5000
	records := make([]string, events)
	for i := range records {
		r := strings.Replace(soundRecord, "000000000001", fmt.Sprintf("%012d", i), 1)
		records[i] = strings.Replace(r, "1769541612369", strconv.Itoa(pagedNewest-i), 1)
	}
	raw := fmt.Appendf(nil, `{"data":[%s],"pagination":{"limit":5000,"hasMore":true,"nextCursor":"abc","cursorExpiresIn":116},"meta":{"returned":%d}}`,
		strings.Join(records, ","), events)
	answer := roundTrip(func(*http.Request) (*http.Response, error) {
		header := http.Header{"Content-Type": {jsonType}}
		return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(bytes.NewReader(raw)), ContentLength: int64(len(raw))}, nil
	})
	c, err := New(Config{BaseURL: "http://127.0.0.1", Key: canary, Fetch: fetch.Config{Pacer: newTestPacer(b, unlimited), Transport: answer}})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		for page, err := range c.Pages(b.Context(), top) {
			if err != nil || len(page.Events) != events {
				b.Fatal(len(page.Events), err)
			}
			if n++; n == b.N {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
}
