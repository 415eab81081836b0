package sink

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// probeConnections makes sure that there is room for the connections of a run.
func probeConnections(needed int) func(context.Context, *pgx.Conn) (Level, string, string, error) {
	return func(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
		var free int
		if err := conn.QueryRow(ctx, selectFreeConnections).Scan(&free); err != nil {
			return OK, "", "", err
		}
		detail := fmt.Sprintf("%d free, a run takes up to %d", free, needed)
		if free < needed {
			return Fail, detail, "raise max_connections or the role's connection limit, or close other clients", nil
		}
		return OK, detail, "", nil
	}
}

// The session of the doctor itself will be free again. A limit of -1 is none.
const selectFreeConnections = `
select least(
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - (select count(*) from pg_catalog.pg_stat_activity where backend_type = 'client backend'),
  (select case when d.datconnlimit < 0 then 1000000 else d.datconnlimit - (select count(*) from pg_catalog.pg_stat_activity where datname = d.datname) end
   from pg_catalog.pg_database d where d.datname = current_database()),
  (select case when r.rolconnlimit < 0 then 1000000 else r.rolconnlimit - (select count(*) from pg_catalog.pg_stat_activity where usename = r.rolname) end
   from pg_catalog.pg_roles r where r.rolname = current_user)
) + 1`

// slowCommit is what a disk behind a network or without a cache takes. Commits are large, and so a slow one is no harm.
const slowCommit = 100 * time.Millisecond

// probeCommit measures how long the server takes to make a transaction durable. It writes an empty message into the write-ahead
// log, which nobody reads.
func probeCommit(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	var best time.Duration
	for range 3 {
		began := time.Now()
		if _, err := conn.Exec(ctx, emitMessage); err != nil {
			if hasCode(err, notPermitted, readOnly) {
				return OK, "cannot be measured: " + err.Error(), "", nil
			}
			return OK, "", "", err
		}
		if took := time.Since(began); best == 0 || took < best {
			best = took
		}
	}
	level, detail, hint := judgeCommit(best)
	return level, detail, hint, nil
}

func judgeCommit(took time.Duration) (Level, string, string) {
	if took > slowCommit {
		return Warn, fmt.Sprintf("takes %v", took.Round(time.Millisecond)), "a slow disk or network: larger --batch-rows make fewer commits"
	}
	return OK, fmt.Sprintf("takes %v", took.Round(10*time.Microsecond)), ""
}

const emitMessage = `select pg_catalog.pg_logical_emit_message(true, 'sluice', '')`

// allowedOffset between our clock and the server's is not worth a warning.
const allowedOffset = 5 * time.Second

func probeClock(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	var theirs time.Time
	before := time.Now()
	if err := conn.QueryRow(ctx, selectClock).Scan(&theirs); err != nil {
		return OK, "", "", err
	}
	after := time.Now()
	level, detail, hint := judgeClock(theirs.Sub(before.Add(after.Sub(before) / 2)).Round(time.Millisecond))
	return level, detail, hint, nil
}

func judgeClock(offset time.Duration) (Level, string, string) {
	if offset.Abs() > allowedOffset {
		return Warn, fmt.Sprintf("the server's clock is %v off ours", offset), "set both by NTP: expiry times of cursors and quotas are kept in the database"
	}
	return OK, fmt.Sprintf("%v off ours", offset), ""
}

const selectClock = `select clock_timestamp()`
