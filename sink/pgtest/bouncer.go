package pgtest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Bouncer starts a PgBouncer in a mode, "session" or "transaction", before the server of a database, and returns the database's URL
// through it. It ends with the test. Without PgBouncer the test is skipped, unless REQUIRE_PGBOUNCER is set.
func Bouncer(tb testing.TB, databaseURL, mode string) string {
	tb.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if _, err = os.Stat("/usr/sbin/pgbouncer"); err == nil {
			program = "/usr/sbin/pgbouncer"
		} else if os.Getenv("REQUIRE_PGBOUNCER") == "" {
			tb.Skip("needs PgBouncer: apt-get install pgbouncer")
		}
	}
	must(tb, err)
	u, err := url.Parse(databaseURL)
	must(tb, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	at := listener.Addr().(*net.TCPAddr)
	must(tb, listener.Close())
	dir := newHome(tb)
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(tb, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	password, _ := u.User.Password()
	users := write("users.txt", fmt.Sprintf("%q %q\n", u.User.Username(), password))
	config := fmt.Sprintf("[databases]\n* = host=%s port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %d\nunix_socket_dir =\n"+
		"auth_type = scram-sha-256\nauth_file = %s\npool_mode = %s\ndefault_pool_size = 20\n", u.Hostname(), u.Port(), at.Port, users, mode)
	if os.Geteuid() == 0 {
		config += "user = nobody\n" // it refuses to run as root
	}
	cmd := exec.Command(program, "-q", write("pgbouncer.ini", config))
	must(tb, cmd.Start())
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(startTimeout); ; {
		conn, err := net.Dial("tcp", at.String())
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			tb.Fatalf("PgBouncer does not listen: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	u.Host = at.String()
	return u.String()
}
