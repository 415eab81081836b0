package embedpg

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// superuser is the one role of a private server.
const superuser = "sluice"

// address is where a server answers and the password it wants: the content of the home's pgpass.
type address struct {
	port     int
	password string
}

// newAddress draws a password. The port comes later, when the server starts.
func newAddress() address { return address{password: rand.Text()} }

func (a address) url(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, a.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(a.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// pgpassForm is libpq's password file: host:port:database:user:password.
const pgpassForm = "127.0.0.1:%d:*:" + superuser + ":%s\n"

func (h home) readAddress() (address, error) {
	b, err := os.ReadFile(h.pgpass())
	if err != nil {
		return address{}, fmt.Errorf("read the server's port and password: %w", err)
	}
	var a address
	if _, err := fmt.Sscanf(strings.TrimSpace(string(b))+"\n", pgpassForm, &a.port, &a.password); err != nil {
		return address{}, fmt.Errorf("read the server's port and password: %s is not as Sluice wrote it", h.pgpass())
	}
	return a, nil
}

// writeAddress replaces the file in one step: a reader sees the old address or the new one.
func (h home) writeAddress(a address) error {
	fresh := h.pgpass() + ".new"
	_ = os.Remove(fresh)
	if err := os.WriteFile(fresh, fmt.Appendf(nil, pgpassForm, a.port, a.password), 0o600); err != nil {
		return fmt.Errorf("keep the server's port and password: %w", err)
	}
	if err := h.give(fresh); err != nil {
		return fmt.Errorf("keep the server's port and password: %w", err)
	}
	return os.Rename(fresh, h.pgpass())
}

// choosePort returns the port given if it is free, else one that is.
func choosePort(port int) (int, error) {
	if port != 0 && portFree(port) {
		return port, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func portFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	l.Close()
	return true
}
