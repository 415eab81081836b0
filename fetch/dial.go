package fetch

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// dialer connects to the API, and looks at each address before it does: the key goes wherever the API's name leads, and
// whoever answers for that name could lead it into the operator's own network.
type dialer struct {
	net.Dialer
	public atomic.Bool // the name has led to a public address
}

// newDialer returns a dialer for the API's host. One that was given as an address, or is this machine, is the operator's word.
func newDialer(host string) *dialer {
	d := &dialer{Dialer: net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}}
	if _, err := netip.ParseAddr(host); err != nil && !loopback(host) {
		d.Control = d.check
	}
	return d
}

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
