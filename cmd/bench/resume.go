package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// progress is how many events were committed at a time after the start of a process.
type progress struct {
	after  time.Duration
	events int64
}

// measureResume kills the program at half, with SIGKILL, and looks how soon the next one is back at full speed.
func measureResume(ctx context.Context, s *stand) ([]Figure, error) {
	w, err := s.newWorld(ctx, s.data, fmt.Sprintf("--latency=%s", s.pause))
	if err != nil {
		return nil, err
	}
	defer w.close(ctx)
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	first, err := w.follow(ctx, w.run(ctx, s.shards, unlimited...), s.data.truth.Rows/2)
	if err != nil {
		return nil, err
	}
	if err := w.quiet(ctx); err != nil {
		return nil, err
	}
	second, err := w.follow(ctx, w.run(ctx, s.shards, unlimited...), math.MaxInt64)
	if err != nil {
		return nil, err
	}
	found, err := readResume(first, second)
	if err != nil {
		return nil, err
	}
	s.say("killed at %d events; new ones after %s, full speed after %s", found.killedAt, found.commit, found.speed)
	return resumeFigures(found), w.check(ctx)
}

const countSessions = `
select count(*) from pg_stat_activity where datname = current_database() and application_name like 'sluice/%'`

// quiet waits until the server has ended the sessions of the dead: what they were committing is in, or gone, and is not taken
// for the next run's.
func (w *world) quiet(ctx context.Context) error {
	conn, err := w.connect(ctx, w.database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for sessions := 1; sessions > 0; {
		if err := conn.QueryRow(ctx, countSessions).Scan(&sessions); err != nil {
			return err
		}
	}
	return nil
}

const selectEvents = `select coalesce(sum(events), 0)::bigint from public.ingestion_shards`

// follow starts a process and notes how many events are committed, until it ends or until so many are and it is killed.
func (w *world) follow(ctx context.Context, cmd *exec.Cmd, kill int64) ([]progress, error) {
	conn, err := w.connect(ctx, w.database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var seen []progress
	for {
		select {
		case err := <-ended:
			return seen, err
		case <-time.After(5 * time.Millisecond):
		}
		events, err := committed(ctx, conn)
		if err == nil {
			seen = append(seen, progress{time.Since(started), events})
		}
		if err != nil || events >= kill {
			_ = cmd.Process.Kill() // it has ended by itself if this fails
			<-ended
			return seen, err
		}
	}
}

// committed counts the events in the ledger; before there is one there are none.
func committed(ctx context.Context, conn *pgx.Conn) (events int64, err error) {
	err = conn.QueryRow(ctx, selectEvents).Scan(&events)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42P01" { // undefined_table
		return 0, nil
	}
	return events, err
}

// resumed is how a run went on after one that was killed.
type resumed struct {
	killedAt      int64
	commit, speed time.Duration // from the start to the first new commit, and to full speed
}

// fullSpeed is the share of the usual speed that counts as full.
const fullSpeed = 0.9

// readResume finds the first sample with more events than at the kill, and the first from which on the next stretch of time
// brought nearly as many events as the median one: the run is compared with itself.
func readResume(first, second []progress) (r resumed, err error) {
	if len(first) == 0 || len(second) == 0 {
		return r, errors.New("the runs were too short to be followed: too few events")
	}
	r.killedAt = second[0].events
	last := second[len(second)-1]
	if last.events == r.killedAt {
		return r, errors.New("the second run had nothing left to do: too few events")
	}
	for _, p := range second {
		if p.events > r.killedAt {
			r.commit = p.after
			break
		}
	}
	stretch := min(time.Second, (last.after-r.commit)/4)
	brought, median := stretches(second, r.commit, stretch)
	for i, events := range brought {
		if second[i].after >= r.commit && events >= fullSpeed*median {
			r.speed = second[i].after
			break
		}
	}
	return r, nil
}

// stretches returns how many events came within a stretch of time after each sample, as far as a whole stretch follows, and
// the median of those from a time on.
func stretches(all []progress, from, stretch time.Duration) (brought []float64, median float64) {
	var usual Sample
	end := 0
	for _, p := range all {
		for end < len(all) && all[end].after < p.after+stretch {
			end++
		}
		if end == len(all) {
			break
		}
		events := float64(all[end].events - p.events)
		brought = append(brought, events)
		if p.after >= from {
			usual = append(usual, events)
		}
	}
	return brought, usual.median()
}

func resumeFigures(r resumed) []Figure {
	return []Figure{
		Sample{r.commit.Seconds()}.figure("killed at half: start to first new commit", unitTime),
		Sample{r.speed.Seconds()}.figure("killed at half: start to full speed", unitTime),
	}
}
