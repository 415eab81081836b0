package pgtest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"sluice/sink/embedpg"
)

// Advisory locks in database postgres of a test server, which show whether a test still uses it.
const (
	usersLock = 0x736c7501 // shared, held by a session of each running test
	watchLock = 0x736c7502 // held by the watch, of which there is one
)

// grace is how long the watch lets an unused server live, in seconds.
type grace struct {
	idle int // usually
	kept int // while the database of a failed test is there to be looked at
}

// watchScript ends a server that has neither a test's lock nor another session. It runs inside the server, in a session whose
// client hung up at once: a busy session never looks at its client, so the watch outlives every test, however it ends, and ends
// with the server. It must therefore never send anything, not even a notice.
//
// A test that arrives in the very moment of the end waits for usersLock, which the watch holds, loses its connection, and starts
// the server again.
const watchScript = `do $watch$
declare
	idle integer := 0;
	enough integer;
begin
	if not pg_try_advisory_lock(%[2]d) then
		return;
	end if;
	loop
		commit;
		perform pg_sleep(1);
		select case when exists (select from pg_database where datname like '%[3]s%%') then %[5]d else %[4]d end into enough;
		if pg_try_advisory_lock(%[1]d) then
			if exists (select from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()) then
				idle := 0;
			else
				idle := idle + 1;
			end if;
			exit when idle >= enough;
			perform pg_advisory_unlock(%[1]d);
		else
			idle := 0;
		end if;
	end loop;
	copy (select 1) to program 'kill -INT $(head -n 1 postmaster.pid)';
end
$watch$`

// watch leaves the watch in the server, if there is none. The packages of one `go test ./...` follow each other within 20 s.
func watch(ctx context.Context, s *embedpg.Server) error {
	return watchFor(ctx, s, grace{idle: 20, kept: 15 * 60})
}

func watchFor(ctx context.Context, s *embedpg.Server, g grace) error {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return fmt.Errorf("watch the test server: %w", err)
	}
	pg := conn.PgConn()
	script := fmt.Sprintf(watchScript, usersLock, watchLock, testPrefix, g.idle, g.kept)
	pg.Frontend().SendQuery(&pgproto3.Query{String: script})
	if err := pg.Frontend().Flush(); err != nil {
		return fmt.Errorf("watch the test server: %w", err)
	}
	return pg.Conn().Close() // without the protocol's goodbye: we don't wait for the answer
}

const (
	lockUsers     = `select pg_advisory_lock_shared($1)`
	selectWatched = `select exists (select from pg_locks where locktype = 'advisory' and objid = $1 and granted)`
)

// use opens a session that keeps the watch from ending the server, and makes sure that there is a watch.
func use(ctx context.Context, s *embedpg.Server) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return nil, err
	}
	var watched bool
	_, err = conn.Exec(ctx, lockUsers, usersLock)
	if err == nil {
		err = conn.QueryRow(ctx, selectWatched, watchLock).Scan(&watched)
	}
	if err == nil && !watched {
		err = watch(ctx, s)
	}
	if err != nil {
		conn.Close(ctx)
		return nil, fmt.Errorf("use the test server: %w", err)
	}
	return conn, nil
}
