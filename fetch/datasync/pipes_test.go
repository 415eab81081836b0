package datasync

import (
	"bufio"
	"context"
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

	"sluice/fetch/quota"
	"sluice/shard"
)

// pipes is a network in memory, with one host.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
	dialed atomic.Int64 // connections made
	open   atomic.Int64 // of them, still open on the client's side
	hosts  sync.Map     // whom the client wanted to talk to
	slow   time.Duration
	refuse atomic.Bool
}

func newPipes() *pipes { return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial(ctx context.Context, _, host string) (net.Conn, error) {
	p.hosts.Store(host, true)
	if p.refuse.Load() {
		return nil, errors.New("connection refused")
	}
	time.Sleep(p.slow)
	client, server := net.Pipe()
	select {
	case p.accept <- server:
		p.dialed.Add(1)
		p.open.Add(1)
		return &counted{Conn: client, open: &p.open}, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept makes pipes a net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.close(); return nil }

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }

func (p *pipes) close() { p.once.Do(func() { close(p.closed) }) }

func (p *pipes) serveHTTP(h http.Handler) {
	server := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() {
		<-p.closed
		_ = server.Close()
	}()
	_ = server.Serve(p)
}

// serveRaw hands every connection to a function, which plays the server on it to the end.
func (p *pipes) serveRaw(serve func(net.Conn)) {
	for {
		c, err := p.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

type counted struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// roundTrip is a network that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

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

const (
	jsonType = "application/json"
	htmlPage = "<html><body>502 Bad Gateway</body></html>"
)

// emptyPage is the last page of an API without events.
const emptyPage = `{"data":[],"pagination":{"limit":100,"hasMore":false,"nextCursor":null},"meta":{"total":0,"returned":0}}`

// soundRecord is one event as the API serves it.
const soundRecord = `{"id":"00000000-0000-4000-8000-000000000001","sessionId":"00000000-0000-4000-8000-000000000002",` +
	`"userId":"00000000-0000-4000-8000-000000000003","type":"click","name":"event","properties":{"page":"/"},` +
	`"timestamp":1769541612369,"session":{"id":"00000000-0000-4000-8000-000000000002","deviceType":"mobile","browser":"Edge"}}`

// onePage is a page of one event in which old is replaced by new.
func onePage(old, new string) string {
	page := `{"data":[` + soundRecord + `],"pagination":{"limit":100,"hasMore":true,"nextCursor":"abc","cursorExpiresIn":100},"meta":{"total":9,"returned":1}}`
	if !strings.Contains(page, old) {
		panic(old)
	}
	return strings.Replace(page, old, new, 1)
}

// fixed answers every request with a page of JSON.
func fixed(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
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
