package embedpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// superuser is the one role of a private server.
const superuser = "sluice"

// address is the port and password of a server: the content of the home's pgpass.
type address struct {
	port     int
	password string
}

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
		return address{}, fmt.Errorf("read the server's port and password: %s is not in the form that Sluice wrote", h.pgpass())
	}
	return a, nil
}

// writeAddress replaces the file in one step: a reader sees the old address or the new one.
func (h home) writeAddress(a address) error {
	fresh := h.pgpass() + ".new"
	_ = os.Remove(fresh)
	if err := errors.Join(os.WriteFile(fresh, fmt.Appendf(nil, pgpassForm, a.port, a.password), 0o600), h.give(fresh)); err != nil {
		return fmt.Errorf("keep the server's port and password: %w", err)
	}
	return os.Rename(fresh, h.pgpass())
}

// choosePort returns the given port if it is free, else another one.
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

// PSQL returns a psql command for a database of the server, without the password in its arguments. The caller attaches a
// terminal.
func (s *Server) PSQL(database string) *exec.Cmd {
	cmd := exec.Command(psqlProgram(), "-h", "127.0.0.1", "-p", fmt.Sprint(s.addr.Load().port), "-U", superuser, database)
	cmd.Env = append(os.Environ(), "PGPASSFILE="+s.home.pgpass())
	return cmd
}

// PSQLLine returns the shell command that opens a database of the server. It contains no secret.
func (s *Server) PSQLLine(database string) string {
	line := "PGPASSFILE=" + ShellWord(s.home.pgpass())
	for _, word := range s.PSQL(database).Args {
		line += " " + ShellWord(word)
	}
	return line
}

// psqlProgram returns psql if it is on PATH, else that of the server's installation.
func psqlProgram() string {
	if _, err := exec.LookPath("psql"); err == nil {
		return "psql"
	}
	for _, p := range findPrograms(context.Background(), "/") {
		if path, err := exec.LookPath(p.path("psql")); err == nil {
			return path
		}
	}
	return "psql"
}

// ShellWord makes one word for a POSIX shell.
func ShellWord(word string) string {
	plain := func(r rune) bool {
		return strings.ContainsRune("-_./:=@%+,", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	if word != "" && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
