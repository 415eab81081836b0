package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/fetch/apisim"
)

// load is one way of the rows into the table, measured.
type load struct {
	rows                        int64
	wall                        time.Duration // of the whole process
	ingest                      time.Duration // from the first attempt of a shard to its last commit
	client, simulator, postgres time.Duration // CPU
	peak                        int64         // bytes of memory of the client
	commits                     int64
	others                      float64 // CPU of the machine that others had meanwhile, in cores
}

// watch is the CPU that the server and the whole machine had used when a load began.
type watch struct {
	pid             int
	server, machine time.Duration
}

func (s *stand) watch() watch {
	pid := s.server.PID()
	return watch{pid, familyCPU(pid), machineCPU()}
}

// read adds to a load that has ended what was used meanwhile, by whom.
func (w watch) read(l *load) {
	l.postgres = familyCPU(w.pid) - w.server
	others := machineCPU() - w.machine - l.postgres - l.client - l.simulator
	l.others = max(0, others.Seconds()/l.wall.Seconds())
}

// ingest runs the program against a simulator and an empty database. keep may look at the database before it is dropped.
func (s *stand) ingest(ctx context.Context, shards int, keep func(ctx context.Context, database string) error) (load, error) {
	s.loads++
	database := fmt.Sprintf("load_%d", s.loads)
	if err := s.server.EnsureDatabase(ctx, database); err != nil {
		return load{}, err
	}
	defer s.drop(context.WithoutCancel(ctx), database)
	l, err := s.ingestInto(ctx, database, shards)
	if err != nil {
		return load{}, err
	}
	if err := s.check(ctx, database); err != nil {
		return load{}, err
	}
	if keep != nil {
		return l, keep(ctx, database)
	}
	return l, nil
}

const checkpoint = `checkpoint`

func (s *stand) ingestInto(ctx context.Context, database string, shards int) (load, error) {
	if _, err := s.admin.Exec(ctx, checkpoint); err != nil { // what came before shall not be written meanwhile
		return load{}, err
	}
	sim, err := s.simulate(ctx)
	if err != nil {
		return load{}, err
	}
	watch := s.watch()
	used, err := measured(s.command(ctx,
		[]string{"API_BASE_URL=" + sim.url, "TARGET_API_KEY=ds_bench", "DATABASE_URL=" + s.server.URL(database)},
		"run", fmt.Sprintf("--shards=%d", shards), "--list-limit=none", "--stream-limit=none", "--json"))
	simulated, stopErr := sim.stop()
	if err != nil {
		return load{}, err
	}
	l := load{rows: s.truth.Rows, wall: used.wall, client: used.cpu, peak: used.peak, simulator: simulated.cpu}
	watch.read(&l)
	return l, cmp.Or(stopErr, s.readLedger(ctx, database, &l))
}

const selectWalk = `
select extract(epoch from max(updated_at) - min(started_at))::float8, sum(seq)::bigint from public.ingestion_shards`

// readLedger adds what the shards' rows say.
func (s *stand) readLedger(ctx context.Context, database string, l *load) error {
	conn, err := s.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var seconds float64
	if err := conn.QueryRow(ctx, selectWalk).Scan(&seconds, &l.commits); err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	l.ingest = time.Duration(seconds * float64(time.Second))
	return nil
}

// check compares the table with what the simulator knows it must hold.
func (s *stand) check(ctx context.Context, database string) error {
	conn, err := s.connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var have apisim.Sum
	if err := conn.QueryRow(ctx, apisim.TruthSQL, nil, nil).Scan(&have.Rows, &have.Hash); err != nil {
		return fmt.Errorf("check the rows: %w", err)
	}
	if have != s.truth {
		return fmt.Errorf("the table of %s holds %d rows with hash %s, it should hold %d with %s",
			database, have.Rows, have.Hash, s.truth.Rows, s.truth.Hash)
	}
	return nil
}

const dropDatabase = `drop database if exists %s with (force)`

func (s *stand) drop(ctx context.Context, database string) {
	if _, err := s.admin.Exec(ctx, fmt.Sprintf(dropDatabase, pgx.Identifier{database}.Sanitize())); err != nil {
		s.say("drop database %s: %v", database, err)
	}
}
