package pgproxy

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
)

// line is one connection through the proxy.
type line struct {
	proxy          *Proxy
	client, server net.Conn
	mute           atomic.Bool   // the answer to the COMMIT under way is not handed on
	answered       chan struct{} // closed when the server is heard no more
}

func (l *line) cut() {
	l.client.Close()
	l.server.Close()
}

// Message types that are looked at.
const (
	query           = 'Q'
	syncing         = 'S'
	copyData        = 'd'
	commandComplete = 'C'
	backendKeyData  = 'K'
)

// The first message of a connection has no type. These two ask for encryption and are answered with one byte.
const (
	sslRequest = 80877103
	gssRequest = 80877104
)

// upward hands on what the client says.
func (l *line) upward() {
	defer l.proxy.leave(l)
	if !l.startup() {
		return
	}
	for {
		kind, message, err := read(l.client)
		if err != nil || !l.proxy.swallows() && !l.client2server(kind, message) {
			return
		}
	}
}

// startup hands on the messages before the first one that has a type.
func (l *line) startup() bool {
	for {
		message, err := body(l.client, nil)
		if err != nil || len(message) < 8 {
			return false
		}
		if l.proxy.swallows() {
			continue
		}
		switch binary.BigEndian.Uint32(message[4:]) {
		case sslRequest, gssRequest:
			if _, err := l.client.Write([]byte{'N'}); err != nil {
				return false
			}
		default:
			_, err := l.server.Write(message)
			return err == nil
		}
	}
}

// client2server hands one message on, or breaks the line at it.
func (l *line) client2server(kind byte, message []byte) bool {
	if l.proxy.lastRequest(kind) {
		return false
	}
	if kind == query && isCommit(message) {
		return l.commit(message)
	}
	if kind == copyData && l.proxy.take(InCopy) {
		_, _ = l.server.Write(message[:len(message)/2])
		return false
	}
	_, err := l.server.Write(message)
	return err == nil
}

func isCommit(message []byte) bool {
	return strings.EqualFold(string(bytes.Trim(message[5:], "\x00; ")), "commit")
}

func (l *line) commit(message []byte) bool {
	late := l.proxy.take(LateCommit)
	switch {
	case l.proxy.take(BeforeCommit):
		return false
	case late:
		l.client.Close()
		l.proxy.awaitRelease()
	case !l.proxy.take(AfterCommit):
		_, err := l.server.Write(message)
		return err == nil
	}
	l.mute.Store(true)
	if _, err := l.server.Write(message); err == nil {
		<-l.answered
	}
	return false
}

// downward hands on what the server says.
func (l *line) downward() {
	defer l.proxy.leave(l)
	defer close(l.answered)
	for {
		kind, message, err := read(l.server)
		if err != nil || kind == commandComplete && l.mute.Load() {
			return
		}
		if l.proxy.swallows() {
			continue
		}
		if pid, set := l.proxy.pretended(); set && kind == backendKeyData {
			binary.BigEndian.PutUint32(message[5:], pid)
		}
		if _, err := l.client.Write(message); err != nil {
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

// body appends a length and as many bytes as it says, itself included.
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
