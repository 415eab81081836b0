package datasync

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"sluice/fetch"
	"sluice/fetch/decode"
)

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

// pour writes a text until the other side has had enough, or so many times.
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

// zipped writes a compressed answer: each text is compressed once, as a member of its own, and the members are what is repeated.
// A gibibyte costs the client what any does, and the test next to nothing.
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

// flood plays a server that never comes to an end of something.
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

// soundRecord is one event as the API serves it.
const soundRecord = `{"id":"00000000-0000-4000-8000-000000000001","sessionId":"00000000-0000-4000-8000-000000000002",` +
	`"userId":"00000000-0000-4000-8000-000000000003","type":"click","name":"event","properties":{"page":"/"},` +
	`"timestamp":1769541612369,"session":{"id":"00000000-0000-4000-8000-000000000002","deviceType":"mobile","browser":"Edge"}}`
