package datasync

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
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

func (p *pipes) Close() error   { p.close(); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "pipe"} }
func (p *pipes) close()         { p.once.Do(func() { close(p.closed) }) }

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
