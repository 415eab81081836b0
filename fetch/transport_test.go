package fetch

import (
	"net"
	"testing"
)

type connTo struct {
	net.Conn
	address string
}

func (c connTo) RemoteAddr() net.Addr { return &net.UnixAddr{Name: c.address} }

// A name that was public and then leads inside was rebound. What the operator gave as an address is his own affair.
func TestRebindingIsRefused(t *testing.T) {
	outside, insides := "93.184.216.34:443", []string{"127.0.0.1:443", "10.1.2.3:443", "[::1]:443", "[fd00::1]:443", "[::ffff:192.168.0.1]:443", "172.16.0.1:80"}
	never := []string{"169.254.169.254:80", "[fe80::1]:80", "0.0.0.0:80", "[::]:80", "224.0.0.1:80", "[::ffff:169.254.1.1]:80", "x"}
	d := newDialer("api.example")
	for _, address := range append(insides, outside) {
		if err := d.Control("tcp", address, nil); err != nil {
			t.Errorf("before: %v", err)
		}
	}
	d.note(connTo{address: insides[0]})
	d.note(connTo{address: outside})
	for _, address := range append(insides, never...) {
		if err := d.Control("tcp", address, nil); err == nil {
			t.Errorf("%s is allowed after a public address", address)
		}
	}
	if err := d.Control("tcp", outside, nil); err != nil {
		t.Error(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "169.254.169.254", "::1", "10.0.0.1"} {
		if newDialer(host).Control != nil {
			t.Errorf("%s is looked at", host)
		}
	}
}
