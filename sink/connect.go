package sink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
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

// SQLSTATEs with which a server refuses a session.
const (
	wrongPassword   = "28P01"
	notAuthorized   = "28000"
	unknownDatabase = "3D000"
	noConnections   = "53300"
	cannotConnect   = "57P03"
)

var refusalHints = map[string]string{
	wrongPassword:   "correct user and password in DATABASE_URL",
	notAuthorized:   "correct the user in DATABASE_URL, or let it in by pg_hba.conf",
	unknownDatabase: "make the database with createdb, or correct its name at the end of DATABASE_URL",
	noConnections:   "end other sessions, or raise max_connections",
	cannotConnect:   "the server is starting up or shutting down: try again in a moment",
}

// connectError explains why there is no session at that host and port.
func connectError(host string, port uint16, err error) *ConnectError {
	at := net.JoinHostPort(host, fmt.Sprint(port))
	var refused *pgconn.PgError
	var dns *net.DNSError
	var waited net.Error
	switch {
	case errors.As(err, &refused):
		return &ConnectError{Why: fmt.Sprintf("%s says: %s (SQLSTATE %s)", at, refused.Message, refused.Code), Hint: refusalHints[refused.Code], Err: err}
	case errors.As(err, &dns):
		return &ConnectError{Why: fmt.Sprintf("the host %q is not known", host), Hint: "correct the host in DATABASE_URL", Err: err}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrNotExist):
		return &ConnectError{Why: fmt.Sprintf("nothing listens at %s", at), Err: err,
			Hint: "start PostgreSQL there, or correct host and port in DATABASE_URL; without it, a private PostgreSQL is used"}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &waited) && waited.Timeout():
		return &ConnectError{Why: at + " does not answer", Hint: "a firewall, a wrong host, or a server that is overloaded", Err: err}
	}
	return &ConnectError{Why: strings.Join(strings.Fields(err.Error()), " "), Err: err,
		Hint: "is the server running, and are host, port, user, password and database correct?"}
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
	at, began := pool.ConnConfig, time.Now()
	conn, err := pgx.ConnectConfig(ctx, at)
	if hasCode(err, protocolViolation) {
		return unreachable(fmt.Sprintf("%v (%v)", doctor.ErrPooler, err), doctor.PoolerHint)
	}
	if err != nil {
		why := connectError(at.Host, at.Port, err)
		return unreachable(why.Why, why.Hint)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	connected := doctor.Finding{Name: "connect", Level: doctor.OK,
		Detail: fmt.Sprintf("%s on %s, in %v", at.Database, at.Host, time.Since(began).Round(time.Millisecond))}
	const lock = 1
	return append([]doctor.Finding{connected}, doctor.Diagnose(ctx, conn, config.Writers+spareConns+lock)...)
}
