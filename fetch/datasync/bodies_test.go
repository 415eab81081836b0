package datasync

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch"
	"sluice/fetch/apisim"
	"sluice/fetch/decode"
	"sluice/fetch/hostile"
	"sluice/shard"
)

// A page, as the simulator renders it: nested and flat.
func rendered(t *testing.T, api apisim.Config) string {
	t.Helper()
	api.Events, api.PageCap = 20, 2
	sim, err := apisim.New(api)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, listPath+"?limit=2", nil)
	r.Header.Set("X-API-Key", canary)
	w := httptest.NewRecorder()
	sim.ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatal(w.Body)
	}
	return w.Body.String()
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

// chunks cuts a body into chunks of seven bytes.
func chunks(body string) string {
	var b strings.Builder
	for len(body) > 0 {
		n := min(7, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// framings are the ways to mark the end of a body: the head, and the body on the wire.
var framings = map[string]func(page string) (head, body string){
	"length": func(p string) (string, string) { return fmt.Sprintf("Content-Length: %d\r\n", len(p)), p },
	"chunks": func(p string) (string, string) { return "Transfer-Encoding: chunked\r\n", chunks(p) },
	"close":  func(p string) (string, string) { return "Connection: close\r\n", p },
	"gzip, length": func(p string) (string, string) {
		z := gzipped(p)
		return fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n", len(z)), z
	},
	"gzip, chunks": func(p string) (string, string) {
		return "Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", chunks(gzipped(p))
	},
	"gzip, close": func(p string) (string, string) { return "Content-Encoding: gzip\r\nConnection: close\r\n", gzipped(p) },
}

// A page that was cut anywhere, in its head or in its body, is refused, however its end is marked; a whole one is accepted. A cut
// page that passed for a whole one would lose the events behind the cut for ever: the cursor leads on from there.
func TestEveryProperPrefixOfAPageIsRefused(t *testing.T) {
	for shape, api := range map[string]apisim.Config{"nested": {}, "flat": {Flat: true}} {
		page := rendered(t, api)
		for framing, of := range framings {
			if shape == "flat" && framing != "length" { // the framing does not look at what it frames
				continue
			}
			head, body := of(page)
			whole := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + head + "\r\n" + body
			refusePrefixes(t, shape+", "+framing, len(whole), func(n int) string { return whole[:n] })
		}
		// Cut by a proxy that then states the length of the rest, or compresses it.
		refusePrefixes(t, shape+", length of the rest", len(page), func(n int) string { return reply(200, "Connection: close\r\n", page[:n]) })
		refusePrefixes(t, shape+", zipped rest", len(page), func(n int) string {
			return reply(200, "Connection: close\r\nContent-Encoding: gzip\r\n", gzipped(page[:n]))
		})
	}
}

func refusePrefixes(t *testing.T, name string, whole int, prefix func(n int) string) {
	t.Run(name, func(t *testing.T) {
		var cut atomic.Int64
		play(t, scene{caps: listOnly, client: fetch.Config{Tries: 1}, listen: func(c net.Conn) {
			if head(bufio.NewReader(c)) != "" {
				_, _ = c.Write([]byte(prefix(int(cut.Load()))))
			}
		}}, func(w *world) {
			for n := range whole {
				cut.Store(int64(n))
				if page, err := w.ask(); err == nil {
					w.t.Fatalf("cut after %d of %d bytes: taken as a page of %d events", n, whole, page.Received)
				} else if n%97 == 0 {
					wantTransient(w.t, w.said(err))
				}
			}
			cut.Store(int64(whole))
			if page, err := w.ask(); err != nil || page.Received != 2 {
				w.t.Fatalf("the whole page: %d events, %v", page.Received, err)
			}
		})
	})
}

// large replaces records of an API by ones with properties of the given size.
func large(c apisim.Config, bytes int, serials ...int64) apisim.Config {
	data, err := apisim.NewData(c)
	if err != nil {
		panic(err)
	}
	c.Records = map[int64][]byte{}
	for _, serial := range serials {
		e := data.Event(serial)
		c.Records[serial] = hostile.Padded(e.ID.String(), e.AtMS, bytes)
	}
	return c
}

// TestPagesTooLargeAreAskedForInSmallerParts: a page with records of some hundred KiB each was larger than a body may be, and
// failed its shard; as smaller pages all of its records can be read.
func TestPagesTooLargeAreAskedForInSmallerParts(t *testing.T) {
	api := apisim.Config{Events: 1000, PageCap: 200}
	var serials []int64
	for i := range int64(100) {
		serials = append(serials, 500+i)
	}
	play(t, scene{api: large(api, 400<<10, serials...), caps: listOnly}, func(w *world) {
		pages := w.must(w.walk(shard.Position{End: shard.Future}, 1000))
		w.wantEvents(pages, w.truth())
		if asked := w.counts(apisim.List).Requests; asked > 20 {
			t.Errorf("%d requests", asked)
		}
	})
}

// TestARecordLargerThanABodyFailsItsShardOnly: its neighbours are read, and the fault is one that stays.
func TestARecordLargerThanABodyFailsItsShardOnly(t *testing.T) {
	api := apisim.Config{Events: 1000, PageCap: 200}
	play(t, scene{api: large(api, 17<<20, 777), caps: listOnly}, func(w *world) {
		pages, err := w.walk(shard.Position{End: shard.Future}, 1000)
		wantStuck(t, err)
		w.wantEvents(pages, w.truth()[:1000-777-1])
		if !strings.Contains(err.Error(), "larger than a page may be") {
			t.Error(err)
		}
	})
}

// heapBound is what an answer may cost, whatever it is, beyond what was there before: the body's bound is 16 MiB where pages
// have up to 4,096 records, and a buffer that grows is there twice for a moment.
const heapBound = 96 << 20

// heapPeak returns how far the heap rose above what it was while a function ran.
func heapPeak(do func()) int64 {
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // or it would be garbage that is measured
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() int64 {
		metrics.Read(sample)
		return int64(sample[0].Value.Uint64())
	}
	runtime.GC()
	base, peak := read(), int64(0)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				peak = max(peak, read()-base)
			}
		}
	}()
	do()
	close(done)
	<-stopped
	return peak
}

// pour writes a text the given number of times, or until the other side hangs up.
func pour(w io.Writer, text string, times int64) {
	for range times {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
	}
}

// blank is 1 MiB of white space, which JSON allows anywhere.
var blank = strings.Repeat(" ", 1<<20)

const opening = `{"pagination":{"hasMore":false,"limit":100},"data":[`

// part is a text that an answer repeats.
type part struct {
	text  string
	times int64
}

// zipped writes a compressed answer: each text is compressed once, as a gzip member of its own, and the member is repeated. A
// gibibyte costs the client as much as any other, and the test next to nothing.
func zipped(header string, parts ...part) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		w.Header().Set("Content-Encoding", header)
		for _, p := range parts {
			pour(w, member(p.text), p.times)
		}
	}
}

// member compresses a text.
func member(text string) string {
	var to strings.Builder
	z, _ := gzip.NewWriterLevel(&to, gzip.BestSpeed)
	pour(z, text, 1)
	_ = z.Close()
	return to.String()
}

// Whatever an answer grows into, it costs no more than its bound, and it is no page (that of names is one dead letter). Not in parallel with anything: the whole
// process's heap is what is measured.
func TestBombsCostABoundedHeap(t *testing.T) {
	gibibyte, begun := part{blank, 1 << 10}, part{opening, 1}
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", jsonType)
			w.WriteHeader(status)
			pour(w, gibibyte.text, gibibyte.times)
		}
	}
	for name, bomb := range map[string]http.HandlerFunc{
		"1 GiB of blanks":    zipped("gzip", gibibyte),
		"1 GiB, not zipped":  answer(200),
		"1 GiB in one text":  zipped("gzip", part{opening + `"`, 1}, part{strings.Repeat("a", 1<<20), 1 << 10}),
		"10^6 events":        zipped("gzip", begun, part{strings.Repeat(soundRecord+",", 1000), 1000}),
		"zipped twice":       zipped("gzip", part{member(strings.Repeat(blank, 20)), 1}),
		"said twice":         zipped("gzip, gzip", gibibyte),
		"a million members":  zipped("gzip", begun, part{blank, 17}),
		"open brackets":      zipped("gzip", begun, part{strings.Repeat("[", 1<<20), 15}),
		"open objects":       zipped("gzip", begun, part{strings.Repeat(`{"a":`, 1<<17), 15}),
		"empty records":      zipped("gzip", begun, part{strings.Repeat("{},", 1<<18), 20}, part{"{}]}", 1}),
		"zeros for records":  zipped("gzip", begun, part{strings.Repeat("0,", 1<<19), 15}, part{"0]}", 1}),
		"names":              zipped("gzip", part{opening + "{", 1}, part{strings.Repeat(`"a":0,`, 1<<17), 16}, part{`"b":0}]}`, 1}),
		"an error of 1 GiB":  answer(500),
		"a refusal of 1 GiB": answer(403),
	} {
		t.Run(name, func(t *testing.T) {
			api := httptest.NewServer(bomb)
			defer api.Close()
			defer api.CloseClientConnections()
			client, text := dialled(t, api.URL, Config{})
			var err error
			peak := heapPeak(func() { _, err = first(t, client, text) })
			if oneReject := name == "names"; (err == nil) != oneReject || peak > heapBound {
				t.Errorf("the heap rose by %d MiB, the error is %v", peak>>20, err)
			}
			if errors.Is(err, fetch.ErrLarge) || errors.Is(err, decode.ErrTooMany) {
				wantStuck(t, err)
			}
			t.Logf("the heap rose by %d MiB: %.150v", peak>>20, err)
		})
	}
}

// flood plays a server that sends something without end.
func flood(begin, again string) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		if head(bufio.NewReader(c)) != "" {
			pour(c, begin, 1)
			pour(c, strings.Repeat(again, 100), 1<<20)
		}
	}
}

// Headers, chunks and trailers without end.
func TestFloodsCostABoundedHeap(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	const chunked = ok + "Transfer-Encoding: chunked\r\n\r\n"
	for name, serve := range map[string]func(*net.TCPConn){
		"headers":          flood(ok, "X-A: b\r\n"),
		"one long header":  flood(ok+"X-A: ", "bbbbbbbbbbbbbbbb"),
		"a long status":    flood("HTTP/1.1 200 ", "OK OK OK OK "),
		"early hints":      flood("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
		"continues":        flood("", "HTTP/1.1 100 Continue\r\n\r\n"),
		"trailers":         flood(chunked+"0\r\n", "X-A: b\r\n"),
		"chunk extensions": flood(chunked, "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n \r\n"),
		"a long chunk":     flood(chunked, "1"),
		"no HTTP":          flood("", "\x00\x1b[31m\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			client, text := dialled(t, "http://"+serveTCP(t, serve), Config{Fetch: fetch.Config{Tries: 1}})
			var err error
			peak := heapPeak(func() { _, err = first(t, client, text) })
			wantTransient(t, err)
			if peak > heapBound || len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\x00\x1b\n") {
				t.Errorf("the heap rose by %d MiB, the error has %d bytes: %.200q", peak>>20, len(err.Error()), err)
			}
		})
	}
}
