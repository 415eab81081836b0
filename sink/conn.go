package sink

import (
	"runtime"
	"strings"
	"syscall"
	"time"
)

// unanswered is how long data we sent may go unacknowledged by the server's machine. Keepalives do not notice that: they are only
// sent on an idle connection.
const unanswered = 20 * time.Second

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall does not name.
const tcpUserTimeout = 18

// limitUnanswered makes Linux end a connection whose other end has fallen silent. On other systems only the timeouts of commits and
// of the ledger apply.
func limitUnanswered(network, _ string, conn syscall.RawConn) error {
	if runtime.GOOS != "linux" || !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var err error
	controlErr := conn.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(unanswered.Milliseconds()))
	})
	if controlErr != nil {
		return controlErr
	}
	return err
}
