package doctor

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

func probeVersion(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	var text string
	var number int
	err := conn.QueryRow(ctx, selectServerVersion).Scan(&text, &number)
	switch {
	case err == nil && number < 120000:
		return fail(text, "Sluice needs PostgreSQL 12, and is tested with 15 and later"), nil
	case err == nil && number < 140000:
		return warn(text, "Sluice is tested with PostgreSQL 15 and later"), nil
	}
	return ok(text), err
}

const selectServerVersion = `select current_setting('server_version'), current_setting('server_version_num')::int`

func probeEncoding(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	var encoding string
	err := conn.QueryRow(ctx, selectEncoding).Scan(&encoding)
	if err == nil && encoding != "UTF8" {
		return fail(encoding, "events are Unicode: create the database with encoding 'UTF8' template template0"), nil
	}
	return ok(encoding), err
}

const selectEncoding = `select current_setting('server_encoding')`

func probeWritable(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	var recovering, readOnly bool
	err := conn.QueryRow(ctx, selectWritable).Scan(&recovering, &readOnly)
	switch {
	case err == nil && recovering:
		return fail("the server is a standby", "give the address of the primary"), nil
	case err == nil && readOnly:
		return fail("default_transaction_read_only is on", "switch it off for this role or database"), nil
	}
	return ok("takes writes"), err
}

const selectWritable = `select pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean`

func probeDurability(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	var fsync, pages bool
	var commit string
	err := conn.QueryRow(ctx, selectDurability).Scan(&fsync, &pages, &commit)
	switch {
	case err == nil && (!fsync || !pages):
		return warn(fmt.Sprintf("fsync %t, full_page_writes %t", fsync, pages),
			"a crash of the machine may destroy the database: switch both on"), nil
	case err == nil && commit == "off":
		return warn("synchronous_commit off",
			"a crash may undo the last commits; rows and checkpoints stay in step, and a rerun fetches them again"), nil
	}
	return ok("committed data survive a crash"), err
}

const selectDurability = `
select current_setting('fsync')::boolean, current_setting('full_page_writes')::boolean, current_setting('synchronous_commit')`

// probeStandby looks for a synchronous standby if commits wait for one. Only some roles may see which standbys are synchronous.
func probeStandby(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	var names string
	var waits, connected bool
	err := conn.QueryRow(ctx, selectStandby).Scan(&names, &waits, &connected)
	switch {
	case err == nil && waits && !connected:
		return fail("none of synchronous_standby_names ("+names+") is connected: every COMMIT waits for one (SyncRep)",
			"bring it back, or: alter system reset synchronous_standby_names; select pg_reload_conf();"), nil
	case err == nil && waits:
		return ok("a synchronous standby confirms each commit"), nil
	}
	return ok("commits wait for none"), err
}

const selectStandby = `
select current_setting('synchronous_standby_names'),
  current_setting('synchronous_standby_names') <> '' and current_setting('synchronous_commit') not in ('off', 'local') and current_setting('max_wal_senders')::int > 0,
  exists (select from pg_catalog.pg_stat_replication where coalesce(sync_state, 'sync') in ('sync', 'quorum'))`

// slowCommit is what a disk behind a network or without a cache takes. Commits are large, so a slow one does no harm.
const slowCommit = 100 * time.Millisecond

// probeCommit measures how long the server takes to make a transaction durable. It writes an empty message, which nothing
// reads, into the write-ahead log.
func probeCommit(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	var best time.Duration
	for range 3 {
		began := time.Now()
		if _, err := conn.Exec(ctx, emitMessage); hasCode(err, notPermitted, readOnly) {
			return ok("cannot be measured: " + err.Error()), nil
		} else if err != nil {
			return Finding{}, err
		}
		if took := time.Since(began); best == 0 || took < best {
			best = took
		}
	}
	return judgeCommit(best), nil
}

const emitMessage = `select pg_catalog.pg_logical_emit_message(true, 'sluice', '')`

func judgeCommit(took time.Duration) Finding {
	if took > slowCommit {
		return warn(fmt.Sprintf("takes %v", took.Round(time.Millisecond)), "a slow disk or network: larger batches make fewer commits")
	}
	return ok(fmt.Sprintf("takes %v", took.Round(10*time.Microsecond)))
}

// allowedOffset between our clock and the server's is not worth a warning.
const allowedOffset = 5 * time.Second

func probeClock(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	var theirs time.Time
	before := time.Now()
	if err := conn.QueryRow(ctx, selectClock).Scan(&theirs); err != nil {
		return Finding{}, err
	}
	after := time.Now()
	return judgeClock(theirs.Sub(before.Add(after.Sub(before) / 2)).Round(time.Millisecond)), nil
}

const selectClock = `select clock_timestamp()`

func judgeClock(offset time.Duration) Finding {
	if offset.Abs() > allowedOffset {
		return warn(fmt.Sprintf("the server's clock is %v off ours", offset),
			"synchronise both by NTP: expiry times of cursors and quotas are kept in the database")
	}
	return ok(fmt.Sprintf("%v off ours", offset))
}

// lowSpace is what three million events with their index and their WAL need, and some air.
const lowSpace = 5 << 30

// probeDisk looks at the disks of the tables and of the write-ahead log. SQL does not report free space: the probe works only if
// the server runs on this machine and shows its directories.
func probeDisk(ctx context.Context, conn *pgx.Conn) (Finding, error) {
	var local bool
	var dirs []string
	var size int64
	if err := conn.QueryRow(ctx, selectDirectories).Scan(&local, &dirs, &size); err != nil {
		return Finding{}, err
	}
	const gibibyte = 1 << 30
	var disks []string
	low := false
	for _, dir := range dirs {
		var fs syscall.Statfs_t
		if !local || dir == "" || syscall.Statfs(dir, &fs) != nil {
			continue
		}
		free := uint64(fs.Bavail) * uint64(fs.Bsize)
		disks = append(disks, fmt.Sprintf("%.1f GiB free for %s", float64(free)/gibibyte, dir))
		low = low || free < lowSpace
	}
	switch {
	case len(disks) == 0:
		return ok(fmt.Sprintf("the database holds %.1f GiB; SQL does not report free space: run `df -h` on the server", float64(size)/gibibyte)), nil
	case low:
		return warn(strings.Join(disks, ", "), "three million events take about 2 GiB, with index and write-ahead log more; a full disk pauses the run"), nil
	}
	return ok(strings.Join(disks, ", ")), nil
}

// The location of a tablespace is empty if it lies in the data directory, which only some roles may see.
const selectDirectories = `
select inet_server_addr() is not distinct from inet_client_addr(),
  array(select distinct d from unnest(array[
    (select setting from pg_catalog.pg_settings where name = 'data_directory'),
    (select pg_catalog.pg_tablespace_location(coalesce(nullif(c.reltablespace, 0), b.dattablespace)) from pg_catalog.pg_database b
     left join pg_catalog.pg_class c on c.oid = to_regclass('ingested_events') where b.datname = current_database())]) t(d)
     where d <> ''),
  pg_catalog.pg_database_size(current_database())`
