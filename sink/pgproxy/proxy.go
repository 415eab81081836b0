package pgproxy

import (
	"net"
	"net/url"
	"sync"
)

// T is what a proxy needs of a testing.TB.
type T interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Break is a place where a line can be cut.
type Break int

// The places. All of them cut the client off; they differ in what the server has seen by then.
const (
	None         Break = iota
	BeforeCommit       // the COMMIT never reaches the server: it did not land
	LateCommit         // it reaches the server only after Release: it lands, but not yet
	AfterCommit        // the server has done it, but its answer does not reach the client
	InCopy             // the server has seen the beginning of a COPY
)

// Proxy listens on a port of its own and hands every connection on to one server.
type Proxy struct {
	url      string
	upstream string
	listener net.Listener
	lines    sync.WaitGroup

	mu       sync.Mutex
	next     Break
	release  chan struct{}
	ended    chan struct{}
	down     bool
	swallow  bool
	allowed  int // requests of clients until the cut, if counting
	counting bool
	stayDown bool
	open     map[*line]struct{}
	cuts     int
	pid      uint32
}

// Start returns a proxy for the server that databaseURL leads to. It ends with the test.
func Start(tb T, databaseURL string) *Proxy {
	tb.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		tb.Fatalf("read the database's URL: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen: %v", err)
	}
	p := &Proxy{upstream: u.Host, listener: listener, release: make(chan struct{}), ended: make(chan struct{}), open: map[*line]struct{}{}}
	u.Host = listener.Addr().String()
	p.url = u.String()
	p.lines.Go(p.accept)
	tb.Cleanup(p.close)
	return p
}

// URL is the database's URL with the proxy's address.
func (p *Proxy) URL() string { return p.url }

// Cut arms a break for the next occasion.
func (p *Proxy) Cut(at Break) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = at
}

// CutAndStayDown arms a break after which the proxy is down until Up.
func (p *Proxy) CutAndStayDown(at Break) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.stayDown = at, true
}

// CutAfter cuts the line that brings the clients' n-th request from here on, before its end is handed on.
func (p *Proxy) CutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed, p.counting = n, true
}

// lastRequest counts the messages that end a request, and tells whether the line is to be cut at this one.
func (p *Proxy) lastRequest(kind byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.counting || kind != query && kind != syncing {
		return false
	}
	if p.allowed--; p.allowed > 0 {
		return false
	}
	p.counting = false
	p.cuts++
	return true
}

// Release lets the COMMIT of a LateCommit go on to the server.
func (p *Proxy) Release() { close(p.release) }

func (p *Proxy) awaitRelease() {
	select {
	case <-p.release:
	case <-p.ended:
	}
}

// Cuts returns how many breaks have happened.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// Down cuts all lines and accepts no more, until Up.
func (p *Proxy) Down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for l := range p.open {
		l.cut()
	}
}

// Up ends what Down began.
func (p *Proxy) Up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// Swallow makes the proxy hand on nothing more, in either direction, and keep all lines open: new ones too. It is a network
// that went away without a word. Heal ends it.
func (p *Proxy) Swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = true
}

// Heal ends what Swallow began. Lines of before have lost something, and are cut.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = false
	for l := range p.open {
		l.cut()
	}
}

func (p *Proxy) swallows() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.swallow
}

// take returns whether the break at hand is armed, and disarms it.
func (p *Proxy) take(at Break) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next != at {
		return false
	}
	p.next = None
	p.cuts++
	p.down = p.down || p.stayDown
	p.stayDown = false
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
		p.join(&line{proxy: p, client: client, server: server, answered: make(chan struct{})})
	}
}

// join begins to serve a line, unless the proxy is down.
func (p *Proxy) join(l *line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		l.cut()
		return
	}
	p.open[l] = struct{}{}
	p.lines.Go(l.upward)
	p.lines.Go(l.downward)
}

func (p *Proxy) leave(l *line) {
	l.cut()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, l)
}

func (p *Proxy) close() {
	close(p.ended)
	p.listener.Close()
	p.Down()
	p.lines.Wait()
}

// PretendPID makes the proxy tell clients another process id than the server's, as a pooler does.
func (p *Proxy) PretendPID(pid uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pid = pid
}

func (p *Proxy) pretended() (pid uint32, set bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid, p.pid != 0
}
