package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
)

const verifyFull = "end DATABASE_URL with ?sslmode=verify-full, and &sslrootcert=<file> for a CA of your own"

// probeEncryption looks at how rows and password travel to the server.
func probeEncryption(_ context.Context, conn *pgx.Conn) (Finding, error) {
	config := conn.Config()
	switch {
	case isLocal(config.Host):
		return ok("does not leave this machine"), nil
	case !alwaysEncrypted(config):
		return warn("may cross the network in plain text", verifyFull), nil
	case !verified(config):
		return warn("encrypted, but the server's certificate is not checked", verifyFull), nil
	}
	return ok("encrypted, and the server's certificate is checked"), nil
}

// isLocal reports whether a host, or the directory of a socket, is on this machine.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || ip != nil && ip.IsLoopback()
}

// alwaysEncrypted reports whether every way of connecting uses TLS: with sslmode=prefer, the default, a man in the middle can
// make the client fall back to plain text.
func alwaysEncrypted(config *pgx.ConnConfig) bool {
	for _, other := range config.Fallbacks {
		if other.TLSConfig == nil {
			return false
		}
	}
	return config.TLSConfig != nil
}

// verified reports whether the certificate must match the host's name (verify-full), or at least the CA (verify-ca).
func verified(config *pgx.ConnConfig) bool {
	return !config.TLSConfig.InsecureSkipVerify || config.TLSConfig.VerifyPeerCertificate != nil
}

// ErrPooler reports a pooler between us and PostgreSQL that gives every transaction another session. Settings, advisory locks
// and temporary tables belong to sessions.
var ErrPooler = errors.New("DATABASE_URL leads to a connection pooler, such as PgBouncer")

// PoolerHint says how to fix [ErrPooler].
const PoolerHint = "give the address of PostgreSQL itself: often the same host with port 5432 instead of 6432 or 6543, or the host's name without " +
	"-pooler; your provider calls it the direct connection"

// VerifySession returns [ErrPooler] unless the server process that the connection was announced is the one that answers: a
// pooler makes the announced one up.
func VerifySession(ctx context.Context, conn *pgx.Conn) error {
	var pid uint32
	if err := conn.QueryRow(ctx, selectBackend).Scan(&pid); err != nil {
		return err
	}
	if pid != conn.PgConn().PID() {
		return Behind(ctx, conn)
	}
	return nil
}

// Behind returns an [ErrPooler] that says where the server behind the pooler is, as that sees it.
func Behind(ctx context.Context, conn *pgx.Conn) error {
	var address string
	if err := conn.QueryRow(ctx, selectAddress, pgx.QueryExecModeSimpleProtocol).Scan(&address); err != nil || address == "" {
		return ErrPooler
	}
	return fmt.Errorf("%w; PostgreSQL itself is at %s", ErrPooler, address)
}

const selectAddress = `select coalesce(host(inet_server_addr()) || ', port ' || inet_server_port(), '')`

const selectBackend = `select pg_catalog.pg_backend_pid()`

func probePooler(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	err := VerifySession(ctx, conn)
	if errors.Is(err, ErrPooler) {
		return fail(err.Error(), PoolerHint), nil
	}
	return ok("sessions are the server's own"), err
}

// probeConnections makes sure that there is room for the connections of a run.
func probeConnections(needed int) func(context.Context, *pgx.Conn) (Finding, error) {
	return func(ctx context.Context, conn *pgx.Conn) (Finding, error) {
		var free int
		if err := conn.QueryRow(ctx, selectFreeConnections).Scan(&free); err != nil {
			return Finding{}, err
		}
		detail := fmt.Sprintf("%d free, a run takes up to %d", free, needed)
		if free < needed {
			return fail(detail, "raise max_connections or the role's connection limit, or close other clients"), nil
		}
		return ok(detail), nil
	}
}

// The doctor's own session will be free again. A limit of -1 means none.
const selectFreeConnections = `
select least(
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - (select count(*) from pg_catalog.pg_stat_activity where backend_type = 'client backend'),
  (select case when d.datconnlimit < 0 then 1000000 else d.datconnlimit - (select count(*) from pg_catalog.pg_stat_activity where datname = d.datname) end
   from pg_catalog.pg_database d where d.datname = current_database()),
  (select case when r.rolconnlimit < 0 then 1000000 else r.rolconnlimit - (select count(*) from pg_catalog.pg_stat_activity where usename = r.rolname) end
   from pg_catalog.pg_roles r where r.rolname = current_user)
) + 1`
