package fetch

import "net"

// NewDialer lets the tests of the transport look at its dialer.
func NewDialer(host string) *dialer { return newDialer(host) }

// Note is what the dialer does with a connection that it has made.
func (d *dialer) Note(c net.Conn) { d.note(c) }
