package sink

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/sink/doctor"
)

// ConnectError says in one line why the database was not reached, and what to do about it. The driver's own error lists every
// address it tried, with and without TLS.
type ConnectError struct {
	Why, Hint string
	Err       error
}

func (e *ConnectError) Error() string { return "reach the database: " + e.Why }

func (e *ConnectError) Unwrap() error { return e.Err }

// DatabaseError marks an error as the database's: an EOF or a timeout alone does not say who is at the other end.
type DatabaseError struct{ Err error }

func (e *DatabaseError) Error() string { return e.Err.Error() }

func (e *DatabaseError) Unwrap() error { return e.Err }

// SQLSTATEs with which a server refuses a session.
const (
	wrongPassword   = "28P01"
	notAuthorized   = "28000"
	unknownDatabase = "3D000"
	noConnections   = "53300"
	cannotConnect   = "57P03"
)

const passwordHint = "run DATABASE_PASSWORD_COMMAND by hand: it must print the password in its first line"

var refusalHints = map[string]string{
	wrongPassword:   "correct user and password in DATABASE_URL",
	notAuthorized:   "correct the user in DATABASE_URL, or let it in by pg_hba.conf",
	unknownDatabase: "make the database with createdb, or correct its name at the end of DATABASE_URL",
	noConnections:   "end other sessions, or raise max_connections",
	cannotConnect:   "the server is starting up or shutting down: try again in a moment",
}

// reach opens a session, and notes whether it is one through a pooler. That gets its settings after the first message. A pooler that
// gives every transaction another session is a *ConnectError.
func (c *Config) reach(ctx context.Context) (*pgx.Conn, error) {
	conn, err := c.connect(ctx, nil)
	pooled := hasCode(err, protocolViolation) // it rejects our settings
	if err == nil {
		pooled, err = doctor.Pooled(ctx, conn)
	}
	if err == nil && !pooled {
		return conn, nil
	}
	if conn != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
	}
	if !pooled {
		return nil, err
	}
	if err := c.verifySessions(ctx); err != nil {
		return nil, err
	}
	c.pooled = true
	return c.connect(ctx, nil)
}

// verifySessions makes sure that a pooler is in session mode. The two sessions that it opens have no settings of ours: in transaction
// mode they would be those of other clients as well.
func (c *Config) verifySessions(ctx context.Context) error {
	var sessions []*pgx.Conn
	for range 2 {
		conn, err := c.connect(ctx, func(bare *pgx.ConnConfig) { bare.RuntimeParams, bare.AfterConnect = nil, nil })
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		sessions = append(sessions, conn)
	}
	err := doctor.VerifySessions(ctx, sessions[0], sessions[1])
	if errors.Is(err, doctor.ErrPooler) {
		err = &ConnectError{Why: err.Error(), Hint: doctor.PoolerHint, Err: err}
	}
	return err
}

// applySettings makes the settings of a session through a pooler, which takes none with its first message, and notes which process of
// the server it has.
func (c Config) applySettings(ctx context.Context, conn *pgconn.PgConn) error {
	settings := c.session()
	names := slices.Sorted(maps.Keys(settings))
	var calls []string
	for _, name := range names {
		calls = append(calls, fmt.Sprintf("pg_catalog.set_config('%s', '%s', false)", name, strings.ReplaceAll(settings[name], "'", "''")))
	}
	results, err := conn.Exec(ctx, "select pg_catalog.pg_backend_pid(), "+strings.Join(calls, ", ")).ReadAll()
	if err != nil {
		return err
	}
	pid, err := strconv.ParseUint(string(results[0].Rows[0][0]), 10, 32)
	conn.CustomData()[processID] = uint32(pid)
	return err
}

// processID is where a connection through a pooler keeps its server's process.
const processID = "process of the server"

// serverPID returns the server's process of a session.
func serverPID(conn *pgx.Conn) uint32 {
	if pid, ok := conn.PgConn().CustomData()[processID].(uint32); ok {
		return pid
	}
	return conn.PgConn().PID()
}

// connectError explains why there is no session at any of the hosts.
func connectError(to *pgx.ConnConfig, err error) *ConnectError {
	at := strings.Join(hostsOf(to), ", ")
	why := func(hint, format string, args ...any) *ConnectError {
		return &ConnectError{Why: fmt.Sprintf(format, args...), Hint: hint, Err: err}
	}
	var refused *pgconn.PgError
	var dns *net.DNSError
	var waited net.Error
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var known *ConnectError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, errPassword):
		return why(passwordHint, "%v", err)
	case errors.Is(err, pgconn.ErrReadOnlyConnection), errors.Is(err, pgconn.ErrStandbyConnection):
		return why("give the address of the primary, or all of them: postgres://…@host1,host2/database", "%s takes no writes: it is a standby", at)
	case errors.As(err, &refused):
		return why(refusalHints[refused.Code], "%s says: %s (SQLSTATE %s)", at, refused.Message, refused.Code)
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return why("add &sslrootcert=<file of the CA> to DATABASE_URL", "the certificate of %s is signed by an authority that is not known here", at)
	case errors.As(err, &name):
		return why("give the host by a name of its certificate", "the certificate of %s is for another name: %s", at, strings.Join(name.Certificate.DNSNames, ", "))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return why("renew the certificate, or set this machine's clock", "the certificate of %s has expired, or is not valid yet", at)
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return why("switch ssl on in postgresql.conf, or end DATABASE_URL with ?sslmode=disable", "%s speaks no TLS", at)
	case strings.Contains(err.Error(), "channel binding"):
		return why("remove channel_binding=require, or connect with TLS and a scram-sha-256 password", "%s offers no channel binding", at)
	case errors.As(err, &dns):
		return why("correct the host in DATABASE_URL", "the host %q is not known", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return why("start PostgreSQL there, or correct host and port in DATABASE_URL; without it, a private PostgreSQL is used", "nothing listens at %s", at)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &waited) && waited.Timeout():
		return why("a firewall, a wrong host, or a server that is overloaded", "%s does not answer", at)
	}
	return why("is the server running, and are host, port, user, password and database correct?", "%s: %s", at, strings.Join(strings.Fields(err.Error()), " "))
}

// Diagnose connects and reports whether the server is fit for a run, see [doctor.Diagnose]. If it cannot be reached, that is the
// only finding. Nothing is changed.
func Diagnose(ctx context.Context, config Config) []doctor.Finding {
	config = config.withDefaults()
	unreachable := func(detail, hint string) []doctor.Finding {
		return []doctor.Finding{{Name: "connect", Level: doctor.Fail, Detail: detail, Hint: hint}}
	}
	if err := config.validate(); err != nil {
		return unreachable(err.Error(), "set DATABASE_URL")
	}
	pool, err := config.pool()
	if err != nil {
		return unreachable(err.Error(), "correct DATABASE_URL")
	}
	began := time.Now()
	conn, err := config.reach(ctx)
	if err != nil {
		why := connectError(pool.ConnConfig, err)
		return unreachable(why.Why, why.Hint)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	connected := doctor.Finding{Name: "connect", Level: doctor.OK,
		Detail: fmt.Sprintf("%s on %s, in %v", conn.Config().Database, conn.Config().Host, time.Since(began).Round(time.Millisecond))}
	const lock = 1
	return append([]doctor.Finding{connected}, doctor.Diagnose(ctx, conn, config.Writers+spareConns+lock)...)
}

// errPassword: the command that prints the password has failed. What it printed is not repeated.
var errPassword = errors.New("DATABASE_PASSWORD_COMMAND printed no password")

// passwordPatience is how long the command may take.
const passwordPatience = 20 * time.Second

// renew reads the password and the certificates again for each session: the passfile, or a certificate, may have been replaced, and
// what the command prints may live for minutes only.
func (c Config) renew(ctx context.Context, conn *pgx.ConnConfig) error {
	now, err := parseURL(c.URL)
	if err != nil {
		return err
	}
	conn.Password, conn.TLSConfig, conn.Fallbacks = now.ConnConfig.Password, now.ConnConfig.TLSConfig, now.ConnConfig.Fallbacks
	if c.PasswordCommand != "" {
		conn.Password, err = printed(ctx, c.PasswordCommand)
	}
	return err
}

// connect opens a session outside of a pool, with settings that change changes.
func (c *Config) connect(ctx context.Context, change func(*pgx.ConnConfig)) (*pgx.Conn, error) {
	pool, err := c.pool()
	if err != nil {
		return nil, err
	}
	config := pool.ConnConfig
	if err := c.renew(ctx, config); err != nil {
		return nil, err
	}
	if change != nil {
		change(config)
	}
	return pgx.ConnectConfig(ctx, config)
}

// printed returns the first line that a shell command prints.
func printed(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, passwordPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.WaitDelay = time.Second // what it has started may keep its output open
	out, err := cmd.Output()
	line, _, _ := strings.Cut(string(out), "\n")
	switch line = strings.TrimSuffix(line, "\r"); {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%w: %w", errPassword, context.Cause(ctx))
	case err != nil:
		return "", fmt.Errorf("%w: %w", errPassword, err)
	case line == "":
		return "", errPassword
	}
	return line, nil
}

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
