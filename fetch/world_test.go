package fetch_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/fetch"
	"sluice/fetch/quota"
	"sluice/shard"
)

// canary is the key of all clients here. It may turn up in no log line and no error: every world looks for it when it ends.
const canary = "ds_CANARY00112233445566778899aabbccdd"

// world is a client and a cursorAPI behind it, in a bubble of virtual time: minutes of waiting and timeouts pass at once, and a
// goroutine that is left behind fails the test. The network between them is in memory, because a socket would stop the clock.
type world struct {
	*fetch.Client
	t     *testing.T
	api   *cursorAPI
	pacer *quota.Pacer
	pipe  *pipes
	text  *record
}

// scene says what a world is made of: an API that answers, or one that has its connections to itself.
type scene struct {
	answer http.HandlerFunc
	listen func(net.Conn)
	client fetch.Config
	pacer  quota.Config // zero means no limit
}

// one returns the quota of an API with one door.
func one(limit quota.Limit) []quota.Spec { return []quota.Spec{{Name: "arrivals", Limit: limit}} }

// play runs a test in a world of its own.
func play(t *testing.T, s scene, test func(*world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, pipe: newPipes()}
		if s.listen != nil {
			go w.pipe.serveRaw(s.listen)
		} else {
			go w.pipe.serveHTTP(s.answer)
		}
		transport := fetch.NewTransport(s.client)
		transport.Proxy, transport.DialContext = nil, w.pipe.dial
		s.client.Transport = transport
		if s.pacer.Quotas == nil {
			s.pacer.Quotas = one(quota.Limit{N: quota.Unlimited})
		}
		c := newClientOf(t, "http://api.test", s.client, s.pacer)
		w.Client, w.api, w.pacer, w.text = c.Client, c.api, c.pacer, c.text
		test(w)
		w.Close()
		w.pipe.close()
		time.Sleep(time.Minute) // a server that writes slowly finds out that its client is gone
		c.check(t)
	})
}

// connected is a client of a cursorAPI with one door, and what it logs.
type connected struct {
	*fetch.Client
	api   *cursorAPI
	pacer *quota.Pacer
	text  *record
}

func newClientOf(t *testing.T, base string, config fetch.Config, pacer quota.Config) *connected {
	t.Helper()
	c := &connected{api: &cursorAPI{base: base, doors: []shard.Endpoint{"arrivals"}, key: canary}, text: &record{}}
	log := slog.New(slog.NewTextHandler(c.text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	pacer.Log, config.Log = log, log
	var err error
	if c.pacer, err = quota.NewPacer(pacer); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	config.Pacer, config.Host, config.PageSize = c.pacer, u.Hostname(), 100
	if c.Client, err = fetch.New(config, c.api); err != nil {
		t.Fatal(err)
	}
	return c
}

// check looks for the key in all that was logged, and for slots that were not given back.
func (c *connected) check(t *testing.T) {
	t.Helper()
	if text := c.text.String(); strings.Contains(text, canary) {
		t.Errorf("the key was shown: %s", text)
	}
	for _, q := range c.pacer.Status() {
		if q.InFlight != 0 {
			t.Errorf("%s: %d slots were neither observed nor returned", q.Name, q.InFlight)
		}
	}
}

// dialled is a client before a real socket, checked when the test ends.
func dialled(t *testing.T, base string, config fetch.Config) (*connected, *record) {
	t.Helper()
	c := newClientOf(t, base, config, quota.Config{Quotas: one(quota.Limit{N: 1000, Window: time.Hour})})
	t.Cleanup(func() { c.Close(); c.check(t) })
	return c, c.text
}

// first asks for one page from the top.
func first(t *testing.T, c *connected, text *record) (shard.Page, error) {
	t.Helper()
	for page, err := range c.Pages(t.Context(), top) {
		text.keep(err)
		return page, err
	}
	return shard.Page{}, errors.New("no page and no error")
}

// top is the position at which the whole API is read.
var top = shard.Position{End: shard.Future}

// said keeps an error for the search for the key.
func (w *world) said(err error) error { w.text.keep(err); return err }

// walkWith reads pages from a position until the iterator ends, and no more than the limit.
func (w *world) walkWith(ctx context.Context, from shard.Position, limit int) (pages []shard.Page, err error) {
	for page, err := range w.Pages(ctx, from) {
		if err != nil {
			return pages, w.said(err)
		}
		if pages = append(pages, page); len(pages) == limit {
			break
		}
	}
	return pages, nil
}

// ask reads one page from the top.
func (w *world) ask() (shard.Page, error) {
	pages, err := w.walkWith(w.t.Context(), top, 1)
	if err != nil || len(pages) == 0 {
		return shard.Page{}, err
	}
	return pages[0], nil
}

// record keeps what was logged, and errors in all their forms.
type record struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.String()
}

func (r *record) keep(err error) {
	if err != nil {
		fmt.Fprintf(r, "%v\n%+v\n%#v\n%q\n", err, err, err, err)
	}
}

const jsonType = "application/json"

// emptyPage is the only page of an API without calls; onePage, of one with more of them than a page holds.
const emptyPage = `{"calls":[],"next":null}`

func onePage() string {
	var calls []string
	for i := range 9 {
		calls = append(calls, fmt.Sprintf(`{"id":"00000000-0000-4000-8000-00000000000%d","at":%d,"ship":"Argo"}`, i, 1_800_000_000_000-i))
	}
	return `{"calls":[` + strings.Join(calls, ",") + `],"next":"9"}`
}

// wantTransient and wantStuck fail the test on an error of another class.
func wantTransient(t *testing.T, err error) *shard.TransientError {
	t.Helper()
	var transient *shard.TransientError
	if !errors.As(err, &transient) {
		t.Fatalf("%v: want a fault that passes", err)
	}
	return transient
}

func wantStuck(t *testing.T, err error) {
	t.Helper()
	var stuck *shard.StuckError
	if !errors.As(err, &stuck) {
		t.Fatalf("%v (%#v): want a fault that a few attempts may mend", err, err)
	}
}

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
