package datasync

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch"
	"sluice/fetch/apisim"
)

// onePage is a page of one event, with what is to be wrong in place of a part of it.
func onePage(old, new string) string {
	page := `{"data":[` + soundRecord + `],"pagination":{"limit":100,"hasMore":true,"nextCursor":"abc","cursorExpiresIn":100},"meta":{"total":9,"returned":1}}`
	if !strings.Contains(page, old) {
		panic(old)
	}
	return strings.Replace(page, old, new, 1)
}

// What is no page is a fault that passes: it is asked for again, three times in a row, and it is never the end of the data.
func TestWhatIsNoPageIsAskedForAgain(t *testing.T) {
	for name, c := range map[string]struct{ content, body string }{
		"HTML":                    {"text/html", htmlPage},
		"HTML that claims JSON":   {jsonType, htmlPage},
		"null":                    {jsonType, "null"},
		"{}":                      {jsonType, "{}"},
		"[]":                      {jsonType, "[]"},
		"a string":                {jsonType, `"maintenance"`},
		"a number":                {jsonType, "0"},
		"nothing":                 {jsonType, ""},
		"blanks":                  {jsonType, " \n\t"},
		"an error":                {jsonType, `{"error":"Internal","message":"try later","code":"X"}`},
		"an error with a page":    {jsonType, onePage(`{"data"`, `{"error":"partial","data"`)},
		"an error with the key":   {jsonType, onePage(`{"data"`, `{"error":"`+canary+`","data"`)},
		"a page as HTML":          {"text/html; charset=utf-8", onePage("", "")},
		"a page as text":          {"text/plain", onePage("", "")},
		"a page in UTF-16":        {jsonType + "; charset=utf-16", onePage("", "")},
		"a page in Latin-1":       {jsonType + `; charset="iso-8859-1"`, onePage("", "")},
		"bytes of UTF-16":         {jsonType, "\xff\xfe{\x00}\x00"},
		"data null":               {jsonType, onePage("["+soundRecord+"]", "null")},
		"data an object":          {jsonType, onePage("["+soundRecord+"]", "{}")},
		"data a string":           {jsonType, onePage("["+soundRecord+"]", `"x"`)},
		"no data":                 {jsonType, onePage(`"data"`, `"Data"`)},
		"hasMore as a string":     {jsonType, onePage(`"hasMore":true`, `"hasMore":"true"`)},
		"hasMore as a number":     {jsonType, onePage(`"hasMore":true`, `"hasMore":1`)},
		"hasMore null":            {jsonType, onePage(`"hasMore":true`, `"hasMore":null`)},
		"no hasMore":              {jsonType, onePage(`"hasMore":true,`, ``)},
		"HASMORE":                 {jsonType, onePage(`"hasMore"`, `"HASMORE"`)},
		"hasMore twice":           {jsonType, onePage(`"hasMore":true`, `"hasMore":true,"hasMore":false`)},
		"a cursor that is {}":     {jsonType, onePage(`"abc"`, `{}`)},
		"a cursor that is 7":      {jsonType, onePage(`"abc"`, `7`)},
		"a cursor of 9 KiB":       {jsonType, onePage(`"abc"`, `"`+strings.Repeat("a", 9<<10)+`"`)},
		"returned more":           {jsonType, onePage(`"returned":1`, `"returned":2`)},
		"returned less":           {jsonType, onePage(`"returned":1`, `"returned":0`)},
		"something behind":        {jsonType, onePage("", "") + "x"},
		"two pages":               {jsonType, onePage("", "") + onePage("", "")},
		"a prefix against theft":  {jsonType, ")]}'\n" + onePage("", "")},
		"NUL in the envelope":     {jsonType, onePage(`"meta"`, "\x00\"meta\"")},
		"bad UTF-8 in a cursor":   {jsonType, onePage(`"abc"`, "\"a\xff\"")},
		"half a pair in a cursor": {jsonType, onePage(`"abc"`, `"\ud83d"`)},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			play(t, scene{caps: listOnly, answer: func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				answered(200, c.content, c.body)(w, r)
			}}, func(w *world) {
				pages, err := w.walk(top, 5)
				wantTransient(w.t, err)
				if len(pages) > 0 || asked.Load() != 3 {
					w.t.Errorf("%d pages, asked %d times", len(pages), asked.Load())
				}
			})
		})
	}
}

// And what is a page in spite of its looks is taken.
func TestOddPagesAreTaken(t *testing.T) {
	for name, c := range map[string]struct{ content, body string }{
		"as the API says it": {"application/json; charset=utf-8", onePage("", "")},
		"a BOM":              {jsonType, "\xef\xbb\xbf" + onePage("", "")},
		"no content type":    {"", onePage("", "")},
		"another JSON":       {"application/vnd.api+json;charset=UTF-8", onePage("", "")},
		"ASCII":              {"text/json; charset=US-ASCII", onePage("", "")},
		"blanks around":      {jsonType, "\n " + onePage("", "") + " \n"},
		"unknown fields":     {jsonType, onePage(`"meta"`, `"links":{"next":"http://evil.test"},"meta"`)},
		"a long cursor":      {jsonType, onePage(`"abc"`, `"`+strings.Repeat("a", 8<<10)+`"`)},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{caps: listOnly, answer: answered(200, c.content, c.body)}, func(w *world) {
				if page, err := w.ask(); err != nil || len(page.Events) != 1 || !page.More {
					w.t.Errorf("%d events, more %t, %v", len(page.Events), page.More, w.said(err))
				}
			})
		})
	}
}

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

// framings are the ways in which the end of a body is told: the head, and the body on the wire.
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

// A page that was cut anywhere, in its head or in its body, is refused, however its end is told; whole it is taken. One that
// was taken for whole would lose the events behind the cut for ever: the cursor leads on from there.
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
		// Cut by somebody who then told the length of what was left, or zipped it.
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

// Bodies that are framed wrongly in other ways than by a cut.
func TestWronglyFramedBodiesAreRefused(t *testing.T) {
	page := onePage("", "")
	zip := gzipped(page)
	badSum := zip[:len(zip)-8] + "\x00\x00\x00\x00" + zip[len(zip)-4:]
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for name, answer := range map[string]string{
		"length too long":           ok + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(page)+1, page),
		"two lengths":               ok + fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d\r\n\r\n%s", len(page), len(page)-1, page),
		"negative length":           ok + "Content-Length: -1\r\n\r\n" + page,
		"a length of letters":       ok + "Content-Length: many\r\n\r\n" + page,
		"bad chunk size":            ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + page,
		"huge chunk size":           ok + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + page,
		"unknown transfer encoding": ok + "Transfer-Encoding: gzip\r\n\r\n" + page,
		"garbage behind the gzip":   reply(200, "Content-Encoding: gzip\r\n", zip+"garbage"),
		"bad checksum":              reply(200, "Content-Encoding: gzip\r\n", badSum),
		"no gzip at all":            reply(200, "Content-Encoding: gzip\r\n", page),
		"gzip twice":                reply(200, "Content-Encoding: gzip\r\n", gzipped(zip)),
		"gzip said twice":           reply(200, "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", gzipped(zip)),
		"br, unasked":               reply(200, "Content-Encoding: br\r\n", page),
		"zstd, unasked":             reply(200, "Content-Encoding: zstd\r\n", page),
		"deflate, unasked":          reply(200, "Content-Encoding: deflate\r\n", page),
		"partial content":           strings.Replace(reply(200, "", page), "200", "206", 1),
		"no content":                "HTTP/1.1 204 No Content\r\n\r\n",
		"a header folded by CR":     "HTTP/1.1 200 OK\r\nX: a\rContent-Length: 5\r\n\r\n" + page,
		"a header without a colon":  "HTTP/1.1 200 OK\r\nX \x1b[2J\r\n\r\n" + page,
		"status 99":                 "HTTP/1.1 99 X\r\n\r\n" + page,
		"no HTTP":                   page,
		"nothing":                   "",
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{caps: listOnly, listen: func(c net.Conn) {
				if head(bufio.NewReader(c)) != "" {
					_, _ = c.Write([]byte(answer))
				}
			}}, func(w *world) {
				_, err := w.ask()
				wantTransient(w.t, err)
				if strings.ContainsAny(err.Error(), "\x1b\r\n") {
					w.t.Errorf("%q holds what moves a terminal", err)
				}
			})
		})
	}
}

// A body that is longer than its length says: the page is refused, and what was left over is not the answer to the next
// request.
func TestWhatIsLeftOverOfABodyAnswersNothing(t *testing.T) {
	page := onePage("", "")
	var asked atomic.Int64
	play(t, scene{caps: listOnly, client: fetch.Config{Tries: 1}, listen: func(c net.Conn) {
		r := bufio.NewReader(c)
		for head(r) != "" {
			text := reply(200, "", page)
			if asked.Add(1) == 1 { // the second half is a whole answer by itself
				text = reply(200, "", page[:100]) + reply(200, "", emptyPage)
			}
			_, _ = c.Write([]byte(text))
		}
	}}, func(w *world) {
		_, err := w.ask()
		wantTransient(w.t, err)
		time.Sleep(time.Second)
		if page, err := w.ask(); err != nil || page.Received != 1 {
			w.t.Errorf("the next answer has %d events, %v", page.Received, err)
		}
		if n := w.pipe.dialed.Load(); n != 2 {
			w.t.Errorf("%d connections: the one with left-overs was used again", n)
		}
	})
}
