package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/fetch/quota"
	"sluice/shard/failpoint"
)

// NewTransport returns the transport that a Client uses unless Config.Transport is set: keep-alive connections, TLS 1.2 or
// later, the proxy of the environment, and a look at every address before it is connected to.
//
// It speaks HTTP/1.1 only. With HTTP/2 all fetchers would share one connection, and a broken one would cost all of their pages;
// and net/http would repeat requests by itself (see unrepeatable).
func NewTransport(c Config) *http.Transport {
	c = c.WithDefaults()
	dial := failpoint.Sent(newDialer(c.Host).dial, "GET /", "request.sent") // a page
	dial = failpoint.Sent(dial, "POST /", "access.asked")                   // what opens a door
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial,
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  c.HeaderTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConns:           c.Fetchers + 4,
		MaxIdleConnsPerHost:    c.Fetchers + 4,
		IdleConnTimeout:        45 * time.Second, // before the balancer's 60 s: one that it closes while we write costs a request
		ReadBufferSize:         64 << 10,
	}
}

// checkProxies refuses an address of a proxy that cannot be read: net/http would go around that proxy without a word. Its text is not
// repeated, it may hold a password.
func checkProxies() error {
	var faults []error
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		if value := os.Getenv(name); value != "" && !isProxy(value) {
			faults = append(faults, fmt.Errorf("%s is not the address of a proxy, such as http://host:3128 (its text is not shown, it may hold a secret)", name))
		}
	}
	return errors.Join(faults...)
}

func isProxy(address string) bool {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	return err == nil && u.Hostname() != "" && strings.Trim(u.Path, "/") == "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}

// unrepeatable is the body of a request that must go out once: it is empty, but net/http cannot know how to read it again.
// Without it http.Transport sends a GET a second time by itself when a kept connection breaks, past the pacer: more requests
// than the quota has, and during a pause that the API asked for. On the wire the request is the same (HTTP/1.1).
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// wire watches the request for a slot on its way, and tells the pacer what became of it.
type wire struct {
	pacer   *quota.Pacer
	slot    quota.Slot
	waiting atomic.Bool // for a connection
}

// prepare returns the request as it must be sent. The server counts from when a request comes in, which after a slow handshake
// is seconds later than the pacer let it through.
func (w *wire) prepare(ctx context.Context, req *http.Request) *http.Request {
	req = req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { w.waiting.Store(true) },
		GotConn:      func(httptrace.GotConnInfo) { w.waiting.Store(false) },
		WroteRequest: func(httptrace.WroteRequestInfo) { w.pacer.Sent(w.slot) },
	}))
	if req.GetBody = nil; req.Body == nil || req.Body == http.NoBody {
		req.Body = unrepeatable{}
	}
	return req
}

// heard makes all fetchers wait as soon as the headers of a refusal are here. When to come back may stand in its body, which
// may come late.
func (w *wire) heard(status int) {
	if status == http.StatusTooManyRequests {
		w.pacer.Refused(w.slot)
	}
}

// failed ends a slot without an answer. A request that never had a connection cannot have been counted.
func (w *wire) failed() {
	if w.waiting.Load() {
		w.pacer.Return(w.slot)
	} else {
		w.pacer.Observe(w.slot, quota.Answer{})
	}
}

// dialer connects to the API, and looks at each address before it does: the key goes wherever the API's name leads, and
// whoever answers for that name could lead it into the operator's own network.
type dialer struct {
	net.Dialer
	public atomic.Bool // the name has led to a public address
}

// newDialer returns a dialer for the API's host. A host that was configured as an address, or is this machine, is not checked.
func newDialer(host string) *dialer {
	d := &dialer{Dialer: net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}}
	if _, err := netip.ParseAddr(host); err != nil && !Loopback(host) {
		d.Control = d.check
	}
	return d
}

// Loopback reports whether a host, as it stands in a URL, is this machine.
func Loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.DialContext(ctx, network, address)
	if err == nil {
		d.note(conn)
	}
	return conn, err
}

// note remembers where a connection leads.
func (d *dialer) note(c net.Conn) {
	if reaches(c.RemoteAddr().String()) == everywhere {
		d.public.Store(true)
	}
}

// check refuses addresses of link-local services, such as a cloud's metadata, and those inside the operator's network once the
// name has been a public one. An API that lies inside from the beginning is fine.
func (d *dialer) check(_, address string, _ syscall.RawConn) error {
	switch reach := reaches(address); {
	case reach == nowhere, reach == inside && d.public.Load():
		return fmt.Errorf("the API's name leads to %s, which is no address for it", address)
	}
	return nil
}

// reach says from where an address can be reached.
type reach uint8

const (
	nowhere reach = iota
	inside
	everywhere
)

func reaches(address string) reach {
	at, err := netip.ParseAddrPort(address)
	ip := at.Addr().Unmap()
	switch {
	case err != nil, ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.IsUnspecified():
		return nowhere
	case ip.IsLoopback(), ip.IsPrivate():
		return inside
	}
	return everywhere
}
