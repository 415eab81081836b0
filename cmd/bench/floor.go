package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"sluice/sink"
)

// floorSessions load at the same time. Four are no faster on two cores, and the program commits with two.
const floorSessions = 2

// floorDatabase has the floor's table.
const floorDatabase = "floor"

// copyColumns are those that the program fills, too; ingested_at is the server's.
const copyColumns = `id, session_id, user_id, type, name, properties, "timestamp", device_type, browser`

const copyOut = `copy (select ` + copyColumns + ` from public.ingested_events order by "timestamp" desc, id desc offset %d limit %d) to '%s' (format binary)`

const showDataDirectory = `show data_directory`

// warm runs the program once, which gives the floor its rows and warms up everything.
func (s *stand) warm(ctx context.Context) error {
	if len(s.files) > 0 {
		return nil
	}
	_, err := s.ingest(ctx, s.data, s.shards, s.export)
	return err
}

// export writes the rows of a load into files of the server, in the API's order, in which the ids are random, as many to each
// session of the floor.
func (s *stand) export(ctx context.Context, database string) error {
	conn, err := s.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var dir string
	if err := conn.QueryRow(ctx, showDataDirectory).Scan(&dir); err != nil {
		return err
	}
	share := (s.data.truth.Rows + floorSessions - 1) / floorSessions
	var files []string
	for i := range int64(floorSessions) {
		file := path.Join(dir, fmt.Sprintf("bench-rows-%d", i+1))
		if _, err := conn.Exec(ctx, fmt.Sprintf(copyOut, i*share, share, file)); err != nil {
			return fmt.Errorf("write the floor's rows: %w", err)
		}
		files = append(files, file)
	}
	if err := s.makeFloor(ctx); err != nil {
		return err
	}
	s.files = files // from here on the floor can be measured
	return nil
}

// makeFloor makes the floor's table.
func (s *stand) makeFloor(ctx context.Context) error {
	if err := s.server.EnsureDatabase(ctx, floorDatabase); err != nil {
		return err
	}
	return migrate(ctx, s.server.URL(floorDatabase))
}

// migrate makes the tables, by the program's own migrations.
func migrate(ctx context.Context, url string) error {
	db, err := sink.Open(ctx, sink.Config{URL: url, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}

// floor is the most that the database can do: it loads the same rows into the same table from files of its own, without a
// client that fetches, decodes or sends them.
func (s *stand) floor(ctx context.Context) (load, error) {
	var sessions [floorSessions]*pgx.Conn
	for i := range sessions {
		conn, err := s.connect(ctx, floorDatabase)
		if err != nil {
			return load{}, err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		sessions[i] = conn
	}
	if err := empty(ctx, sessions[0]); err != nil {
		return load{}, err
	}
	watch, started := s.watch(nil), time.Now()
	copied, err := s.copyIn(ctx, sessions[:])
	if err != nil {
		return load{}, fmt.Errorf("load the floor: %w", err)
	}
	l := load{rows: copied, wall: time.Since(started)}
	watch.read(&l)
	if copied != s.data.truth.Rows {
		return load{}, fmt.Errorf("the floor took %d rows, not %d", copied, s.data.truth.Rows)
	}
	return l, nil
}

const truncateEvents = `truncate public.ingested_events`

// empty removes what the last floor has loaded. The transaction ends here: a COPY in that of the truncate would skip the
// write-ahead log.
func empty(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range []string{truncateEvents, checkpoint} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

const copyIn = `copy public.ingested_events (` + copyColumns + `) from '%s' (format binary)`

// copyIn loads a file by each session, and returns the number of rows. They are those of a table that was checked.
func (s *stand) copyIn(ctx context.Context, sessions []*pgx.Conn) (int64, error) {
	var rows atomic.Int64
	all, ctx := errgroup.WithContext(ctx)
	for i, conn := range sessions {
		all.Go(func() error {
			tag, err := conn.Exec(ctx, fmt.Sprintf(copyIn, s.files[i]))
			rows.Add(tag.RowsAffected())
			return err
		})
	}
	err := all.Wait()
	return rows.Load(), err
}
