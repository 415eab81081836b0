package pgtest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Break is a place where a connection can be cut.
type Break int

// The places. All of them cut the client off; they differ in what the server has received by then.
const (
	None         Break = iota
	BeforeCommit       // the COMMIT never reaches the server: it did not land
	LateCommit         // it reaches the server only after Release: it lands, but not yet
	AfterCommit        // the server has done it, but its answer does not reach the client
	InCopy             // the server has seen the beginning of a COPY
)

// Proxy stands between a program under test and a PostgreSQL server, and breaks the connection at the places where it matters:
// before a COMMIT has reached the server, on its way, after it took effect but before the client has heard of it, in the middle
// of a COPY. Each break happens once, at the next occasion.
//
// It understands just enough of the protocol for that: every message is a type byte, a length and a body, in both directions
// (PostgreSQL manual, "Frontend/Backend Protocol"). It offers no encryption.
type Proxy struct {
	url      string
	upstream string
	listener net.Listener
	serving  sync.WaitGroup

	swallow atomic.Bool
	cuts    atomic.Int64
	release chan struct{}
	ended   chan struct{}

	mu       sync.Mutex
	next     Break
	stayDown bool // after the next break
	down     bool
	requests int // of clients until the cut; 0 means that they are not counted
	open     map[*proxyConn]struct{}
}

// NewProxy returns a proxy for the server that databaseURL leads to. It ends with the test.
func NewProxy(tb testing.TB, databaseURL string) *Proxy {
	tb.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		tb.Fatalf("read the database's URL: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen: %v", err)
	}
	p := &Proxy{upstream: u.Host, listener: listener, release: make(chan struct{}), ended: make(chan struct{}), open: map[*proxyConn]struct{}{}}
	u.Host = listener.Addr().String()
	p.url = u.String()
	p.serving.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// URL is the database's URL with the proxy's address.
func (p *Proxy) URL() string { return p.url }

// Cut arms a break for the next occasion.
func (p *Proxy) Cut(at Break) { p.arm(at, false) }

// CutAndStayDown arms a break after which the proxy is down until Up.
func (p *Proxy) CutAndStayDown(at Break) { p.arm(at, true) }

func (p *Proxy) arm(at Break, stayDown bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.stayDown = at, stayDown
}

// CutAfter cuts the connection that carries the clients' n-th request from here on, before its end is forwarded.
func (p *Proxy) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = n
}

// lastRequest counts the messages that end a request, and reports whether to cut the connection at this one.
func (p *Proxy) lastRequest(kind byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.requests == 0 || kind != simpleQuery && kind != syncing {
		return false
	}
	p.requests--
	if p.requests == 0 {
		p.cuts.Add(1)
	}
	return p.requests == 0
}

// Release forwards the COMMIT of a LateCommit to the server.
func (p *Proxy) Release() { close(p.release) }

// Cuts returns how many breaks have happened.
func (p *Proxy) Cuts() int { return int(p.cuts.Load()) }

// Down cuts all connections and accepts no more, until Up.
func (p *Proxy) Down() { p.cutAll(true) }

// Up ends what Down began.
func (p *Proxy) Up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// Swallow makes the proxy forward nothing more, in either direction, and keep all connections open, new ones too: a network that
// silently drops everything. Heal ends it.
func (p *Proxy) Swallow() { p.swallow.Store(true) }

// Heal ends what Swallow began. Connections from before have lost something, and are cut.
func (p *Proxy) Heal() {
	p.swallow.Store(false)
	p.cutAll(false)
}

func (p *Proxy) cutAll(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for c := range p.open {
		c.cut()
	}
}

// take reports whether this break is armed, and disarms it.
func (p *Proxy) take(at Break) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != at {
		return false
	}
	p.cuts.Add(1)
	p.down = p.down || p.stayDown
	p.next, p.stayDown = None, false
	return true
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.upstream)
		if err != nil {
			client.Close()
			continue
		}
		p.join(&proxyConn{proxy: p, client: client, server: server, answered: make(chan struct{})})
	}
}

// join begins to serve a connection, unless the proxy is down.
func (p *Proxy) join(c *proxyConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		c.cut()
		return
	}
	p.open[c] = struct{}{}
	p.serving.Go(c.upward)
	p.serving.Go(c.downward)
}

func (p *Proxy) leave(c *proxyConn) {
	c.cut()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

func (p *Proxy) close() {
	close(p.ended)
	p.listener.Close()
	p.Down()
	p.serving.Wait()
}

// proxyConn is one connection through the proxy.
type proxyConn struct {
	proxy          *Proxy
	client, server net.Conn
	mute           atomic.Bool   // the answer to the COMMIT under way is withheld
	answered       chan struct{} // closed when the server sends no more
}

func (c *proxyConn) cut() {
	c.client.Close()
	c.server.Close()
}

// Message types that matter here.
const (
	simpleQuery     = 'Q'
	syncing         = 'S'
	copyData        = 'd'
	commandComplete = 'C'
)

// The first message of a connection has no type. These two ask for encryption and are answered with one byte.
const (
	sslRequest = 80877103
	gssRequest = 80877104
)

// upward forwards what the client sends.
func (c *proxyConn) upward() {
	defer c.proxy.leave(c)
	if !c.startup() {
		return
	}
	for {
		kind, message, err := read(c.client)
		if err != nil || !c.proxy.swallow.Load() && !c.forward(kind, message) {
			return
		}
	}
}

// startup forwards the messages before the first one that has a type.
func (c *proxyConn) startup() bool {
	for {
		message, err := body(c.client, nil)
		if err != nil || len(message) < 8 {
			return false
		}
		if c.proxy.swallow.Load() {
			continue
		}
		switch binary.BigEndian.Uint32(message[4:]) {
		case sslRequest, gssRequest:
			if _, err := c.client.Write([]byte{'N'}); err != nil {
				return false
			}
		default:
			_, err := c.server.Write(message)
			return err == nil
		}
	}
}

// forward passes one message on, or breaks the connection at it.
func (c *proxyConn) forward(kind byte, message []byte) bool {
	if c.proxy.lastRequest(kind) {
		return false
	}
	if kind == simpleQuery && isCommit(message) {
		return c.commit(message)
	}
	if kind == copyData && c.proxy.take(InCopy) {
		_, _ = c.server.Write(message[:len(message)/2])
		return false
	}
	_, err := c.server.Write(message)
	return err == nil
}

func isCommit(message []byte) bool {
	return strings.HasSuffix(strings.ToLower(string(bytes.Trim(message[5:], "\x00; "))), "commit")
}

func (c *proxyConn) commit(message []byte) bool {
	late := c.proxy.take(LateCommit)
	switch {
	case c.proxy.take(BeforeCommit):
		return false
	case late:
		c.client.Close()
		select {
		case <-c.proxy.release:
		case <-c.proxy.ended:
		}
	case !c.proxy.take(AfterCommit):
		_, err := c.server.Write(message)
		return err == nil
	}
	c.mute.Store(true)
	if _, err := c.server.Write(message); err == nil {
		<-c.answered
	}
	return false
}

// downward forwards what the server sends.
func (c *proxyConn) downward() {
	defer c.proxy.leave(c)
	defer close(c.answered)
	for {
		kind, message, err := read(c.server)
		if err != nil || kind == commandComplete && c.mute.Load() && bytes.HasPrefix(message[5:], []byte("COMMIT")) {
			return
		}
		if c.proxy.swallow.Load() || c.mute.Load() {
			continue
		}
		if _, err := c.client.Write(message); err != nil {
			return
		}
	}
}

// read returns the next message, with its type and length in front.
func read(from io.Reader) (kind byte, message []byte, err error) {
	head := make([]byte, 1, 512)
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, nil, err
	}
	message, err = body(from, head)
	return head[0], message, err
}

// body appends a length and that many bytes, its own included.
func body(from io.Reader, message []byte) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	message = append(message, length[:]...)
	rest := make([]byte, max(int(binary.BigEndian.Uint32(length[:]))-4, 0))
	if _, err := io.ReadFull(from, rest); err != nil {
		return nil, err
	}
	return append(message, rest...), nil
}
