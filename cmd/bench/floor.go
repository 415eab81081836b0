package main

import (
	"context"
	"fmt"
	"path"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// floorSessions load at the same time. Four are no faster on two cores, and the program commits with two.
const floorSessions = 2

// floorDatabase has the floor's table.
const floorDatabase = "floor"

// copyColumns are those that the program fills too; ingested_at is the server's.
const copyColumns = `id, session_id, user_id, type, name, properties, "timestamp", device_type, browser`

const (
	copyOut           = `copy (select ` + copyColumns + ` from public.ingested_events order by "timestamp" desc, id desc offset %d limit %d) to '%s' (format binary)`
	copyIn            = `copy public.ingested_events (` + copyColumns + `) from '%s' (format binary)`
	showDataDirectory = `show data_directory`
	copyDatabase      = `create database ` + floorDatabase + ` template %s`
	truncateEvents    = `truncate public.ingested_events`
)

// prepareFloor runs the program once, which warms up everything, and writes the rows into files of the server in the API's order,
// in which the ids are random, one file for each session. The floor's table is that of a copy of the database.
func (r *rig) prepareFloor(ctx context.Context) error {
	if r.files != nil {
		return nil
	}
	w, err := r.newWorld(ctx, r.usual(r.data, usualShards))
	if err != nil {
		return err
	}
	defer w.close(ctx)
	if _, err := w.load(ctx); err != nil {
		return err
	}
	files, err := w.export(ctx)
	if err != nil {
		return fmt.Errorf("write the floor's rows: %w", err)
	}
	if _, err := r.exec(ctx, maintenance, fmt.Sprintf(copyDatabase, w.database)); err != nil {
		return fmt.Errorf("make the floor's table: %w", err)
	}
	r.files = files
	return nil
}

func (w *world) export(ctx context.Context) (files []string, err error) {
	var dir string
	if err := w.queryRow(ctx, w.database, showDataDirectory, nil, &dir); err != nil {
		return nil, err
	}
	share := (w.trial.data.truth.Rows + floorSessions - 1) / floorSessions
	for i := range int64(floorSessions) {
		file := path.Join(dir, fmt.Sprintf("bench-rows-%d", i+1))
		if _, err := w.exec(ctx, w.database, fmt.Sprintf(copyOut, i*share, share, file)); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// floor is the most that the database can do: it loads the same rows into the same table from files of its own, without a client
// that fetches, decodes or sends them.
func (r *rig) floor(ctx context.Context) (load, error) {
	// The truncate is a transaction of its own: a COPY in the same one would skip the write-ahead log.
	for _, sql := range []string{truncateEvents, checkpoint} {
		if _, err := r.exec(ctx, floorDatabase, sql); err != nil {
			return load{}, fmt.Errorf("empty the floor: %w", err)
		}
	}
	var rows atomic.Int64
	all, copying := errgroup.WithContext(ctx)
	watch := r.startWatch(0)
	for _, file := range r.files {
		all.Go(func() error {
			n, err := r.exec(copying, floorDatabase, fmt.Sprintf(copyIn, file))
			rows.Add(n)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return load{}, fmt.Errorf("load the floor: %w", err)
	}
	l := load{rows: rows.Load()}
	watch.stop(&l)
	if l.rows != r.data.truth.Rows {
		return load{}, fmt.Errorf("the floor took %d rows, want %d", l.rows, r.data.truth.Rows)
	}
	return l, nil
}
