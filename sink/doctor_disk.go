package sink

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// littleSpace is what three million events with their index and their WAL need, and some air.
const littleSpace = 5 << 30

// probeDisk looks at the disks of the tables and of the write-ahead log. SQL does not tell how full they are: it can look only
// where the server runs on this machine, and tells us its directories.
func probeDisk(ctx context.Context, conn *pgx.Conn) (Level, string, string, error) {
	var local bool
	var dirs []string
	var holds int64
	if err := conn.QueryRow(ctx, selectDirectories).Scan(&local, &dirs, &holds); err != nil {
		return OK, "", "", err
	}
	var seen []string
	level := OK
	for _, dir := range dirs {
		var fs syscall.Statfs_t
		if !local || dir == "" || syscall.Statfs(dir, &fs) != nil {
			continue
		}
		free := uint64(fs.Bavail) * uint64(fs.Bsize)
		seen = append(seen, fmt.Sprintf("%.1f GiB free for %s", gibibytes(free), dir))
		if free < littleSpace {
			level = Warn
		}
	}
	switch {
	case len(seen) == 0:
		return OK, fmt.Sprintf("the database holds %.1f GiB; how much is free SQL does not tell: `df -h` on its server does", gibibytes(uint64(holds))), "", nil
	case level == Warn:
		return Warn, strings.Join(seen, ", "), "three million events take about 2 GiB, with index and write-ahead log more; a full disk pauses the run", nil
	}
	return OK, strings.Join(seen, ", "), "", nil
}

func gibibytes(n uint64) float64 { return float64(n) / (1 << 30) }

// The location of a tablespace is empty where it lies in the data directory, which only some roles may see.
const selectDirectories = `
select inet_server_addr() is not distinct from inet_client_addr(),
  array(select distinct d from unnest(array[
    (select setting from pg_catalog.pg_settings where name = 'data_directory'),
    (select pg_catalog.pg_tablespace_location(coalesce(nullif(c.reltablespace, 0), b.dattablespace)) from pg_catalog.pg_database b
     left join pg_catalog.pg_class c on c.oid = to_regclass('public.ingested_events') where b.datname = current_database())]) t(d)
     where d <> ''),
  pg_catalog.pg_database_size(current_database())`
