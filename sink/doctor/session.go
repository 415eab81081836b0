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
var ErrPooler = errors.New("DATABASE_URL leads to a connection pooler, such as PgBouncer, in transaction mode")

// PoolerHint says how to fix [ErrPooler].
const PoolerHint = "give the address of PostgreSQL itself, or of a pooler in session mode: often the same host with port 5432 instead of 6432 or 6543, " +
	"or the host's name without -pooler; your provider calls it the direct connection"

// Pooled reports whether a pooler stands between us and the server: it makes up the process that a connection is announced.
func Pooled(ctx context.Context, conn *pgx.Conn) (bool, error) {
	pid, err := backend(ctx, conn)
	return pid != conn.PgConn().PID(), err
}

func backend(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	err = conn.QueryRow(ctx, selectBackend, pgx.QueryExecModeExec).Scan(&pid)
	return pid, err
}

// VerifySessions returns [ErrPooler] unless each of two connections through a pooler has a session of its own. In transaction mode
// they take turns with one, which is free between their transactions.
func VerifySessions(ctx context.Context, a, b *pgx.Conn) error {
	var first [2]uint32
	for round := range 5 {
		for i, conn := range []*pgx.Conn{a, b} {
			pid, err := backend(ctx, conn)
			if err != nil {
				return err
			}
			if round == 0 {
				first[i] = pid
			}
			if pid != first[i] || first[0] == first[1] {
				return behind(ctx, conn)
			}
		}
	}
	return nil
}

// behind returns an [ErrPooler] that says where the server behind the pooler is, as that sees it.
func behind(ctx context.Context, conn *pgx.Conn) error {
	var address string
	if err := conn.QueryRow(ctx, selectAddress, pgx.QueryExecModeSimpleProtocol).Scan(&address); err != nil || address == "" {
		return ErrPooler
	}
	return fmt.Errorf("%w; PostgreSQL itself is at %s", ErrPooler, address)
}

const selectAddress = `select coalesce(host(inet_server_addr()) || ', port ' || inet_server_port(), '')`

const selectBackend = `select pg_catalog.pg_backend_pid()`

func probePooler(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	pooled, err := Pooled(ctx, conn)
	if pooled {
		return ok("in session mode: each connection has a session of its own"), err
	}
	return ok("none: sessions are the server's own"), err
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
