package sink

import (
	"strings"
	"syscall"
	"time"
)

// unanswered is how long what we sent may go without an answer of the server's machine. Keepalives do not see that: they are
// only sent on a quiet line.
const unanswered = 20 * time.Second

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall does not name.
const tcpUserTimeout = 18

// giveUpUnanswered makes the kernel end a connection whose other end has fallen silent.
func giveUpUnanswered(network, _ string, line syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var err error
	controlErr := line.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(unanswered.Milliseconds()))
	})
	if controlErr != nil {
		return controlErr
	}
	return err
}
