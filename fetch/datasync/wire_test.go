package datasync

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch"
	"sluice/fetch/quota"
	"sluice/shard"
)

// emptyPage is the last page of an API without events.
const emptyPage = `{"data":[],"pagination":{"limit":100,"hasMore":false,"nextCursor":null},"meta":{"total":0,"returned":0}}`

// fixed answers every request with a page of JSON.
func fixed(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

// reply is a whole answer of HTTP/1.1 with a length.
func reply(status int, header, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", status, len(body), header, body)
}

// head reads the head of a request, as it stands on the wire; "" at the end of the connection.
func head(r *bufio.Reader) string {
	var text strings.Builder
	for {
		line, err := r.ReadString('\n')
		if text.WriteString(line); err != nil {
			return ""
		}
		if line == "\r\n" {
			return text.String()
		}
	}
}

// serveTCP plays a server on a socket, where a connection can be reset and its end be seen.
func serveTCP(t *testing.T, serve func(*net.TCPConn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(served.Wait)
	t.Cleanup(func() { _ = l.Close() })
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			})
		}
	})
	return l.Addr().String()
}

// dialled is a client before a real socket. All that it says is searched for secrets when the test ends.
func dialled(t *testing.T, base string, c Config) (*Client, *record) {
	t.Helper()
	text := &record{}
	log := slog.New(slog.NewTextHandler(text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.BaseURL, c.Key, c.Fetch.Log = base, canary, log
	c.Fetch.Pacer = newTestPacer(t, quota.Config{Quotas: Quotas(quota.Limit{N: 1000, Window: time.Hour}, quota.Limit{N: 1000, Window: time.Hour}), Log: log})
	client, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	client.SetCapabilities(listOnly)
	t.Cleanup(func() {
		client.Close()
		text.check(t)
		for _, q := range client.pacer.Status() {
			if q.InFlight != 0 {
				t.Errorf("%s: %d calls were neither observed nor returned", q.Name, q.InFlight)
			}
		}
	})
	return client, text
}

// first asks for one page from the top, and keeps what was said.
func first(t *testing.T, c *Client, text *record) (shard.Page, error) {
	t.Helper()
	for page, err := range c.Pages(t.Context(), top) {
		if err != nil {
			fmt.Fprintf(text, "%v\n%+v\n%#v\n%q\n", err, err, err, err)
		}
		return page, err
	}
	return shard.Page{}, errors.New("no page and no error")
}

// net/http sends a GET again by itself when a kept connection breaks before an answer. The pacer would know nothing of that
// request: it would exceed the quota, and go out during a pause. Here every second request of a connection meets its end.
func TestNothingIsSentThatThePacerDoesNotKnow(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn){
		"closed": func(c *net.TCPConn) { _ = c.Close() },
		"reset":  func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			var seen atomic.Int64
			address := serveTCP(t, func(c *net.TCPConn) {
				r := bufio.NewReader(c)
				for n := 1; head(r) != ""; n++ {
					if seen.Add(1); n == 2 {
						end(c)
						return
					}
					_, _ = c.Write([]byte(reply(200, "", emptyPage)))
				}
			})
			client, text := dialled(t, "http://"+address, Config{Fetch: fetch.Config{Tries: 1}})
			if _, err := first(t, client, text); err != nil {
				t.Fatal(err)
			}
			_, err := first(t, client, text)
			wantTransient(t, err)
			if known := client.pacer.Status()[0].Recent; seen.Load() != 2 || known != 2 {
				t.Errorf("%d requests on the wire, the pacer knows of %d, want 2", seen.Load(), known)
			}
		})
	}
}

// What makes a request unrepeatable must not show: a GET with a body, or with the length of one, is refused by some servers.
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

// The server counts a request from when it comes in. With a limit of one a minute, the next one after a slow handshake has to
// wait for a minute from then, not from when the pacer let the first through.
func TestSlowHandshakeMovesTheRequestInTheLog(t *testing.T) {
	oneAMinute := quota.Config{Quotas: Quotas(quota.Limit{N: 1, Window: time.Minute}, quota.Limit{N: quota.Unlimited})}
	var at []time.Duration
	var start time.Time
	play(t, scene{pacer: oneAMinute, caps: listOnly, answer: func(w http.ResponseWriter, r *http.Request) {
		at = append(at, time.Since(start))
		fixed(emptyPage)(w, r)
	}}, func(w *world) {
		start = time.Now()
		w.pipe.slow = 4 * time.Second
		for range 2 {
			if _, err := w.ask(); err != nil {
				w.t.Fatal(err)
			}
			w.pipe.slow = 0
		}
		if len(at) != 2 || at[0] != 4*time.Second || at[1] != 65*time.Second {
			w.t.Errorf("requests after %v, want after 4s and %v", at, 65*time.Second)
		}
	})
}

// While the API cannot be reached, nothing is spent: it has counted nothing.
func TestOutageSpendsNoQuota(t *testing.T) {
	play(t, scene{pacer: quota.Config{Quotas: Quotas(quota.Limit{N: 3, Window: time.Hour}, quota.Limit{N: quota.Unlimited})}, caps: listOnly, answer: fixed(emptyPage)}, func(w *world) {
		w.pipe.refuse.Store(true)
		for range 20 {
			_, err := w.ask()
			wantTransient(w.t, err)
		}
		w.pipe.refuse.Store(false)
		start := time.Now()
		if _, err := w.ask(); err != nil || time.Since(start) > time.Second {
			w.t.Errorf("after the outage: %v after %v", err, time.Since(start))
		}
		if n := w.pacer.Status()[0].Recent; n != 1 {
			w.t.Errorf("the pacer counted %d requests, the API saw one", n)
		}
	})
}
