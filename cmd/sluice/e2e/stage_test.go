package e2e

import (
	"context"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/sink/pgtest"
)

// stage is a world whose database can be taken away: it has a server of its own, and a proxy on the way to it.
type stage struct {
	*world
	server *pgtest.Server
	proxy  *pgtest.Proxy
}

func newStage(w *world) *stage {
	w.t.Helper()
	s := &stage{world: w, server: pgtest.NewServer(w.t, pgtest.Options{})}
	if err := s.server.EnsureDatabase(w.t.Context(), "soak"); err != nil {
		w.t.Fatal(err)
	}
	s.proxy = pgtest.NewProxy(w.t, s.server.URL("soak"))
	s.env[cli.EnvDatabase] = s.proxy.URL()
	return s
}

func (s *stage) down(d time.Duration) {
	s.proxy.Down()
	defer s.proxy.Up()
	time.Sleep(d)
}

func (s *stage) crash(d time.Duration) {
	ctx := context.Background()
	if err := s.server.Crash(ctx); err != nil {
		s.t.Error(err)
	}
	time.Sleep(d)
	if err := s.server.Start(ctx); err != nil {
		s.t.Error(err)
	}
}

func (s *stage) terminate(time.Duration) {
	var ended int
	s.query(`select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like 'sluice/%'`, nil, &ended)
}

func (s *stage) lock(d time.Duration) {
	release := s.hold("lock table ingestion_shards in access exclusive mode")
	defer release()
	time.Sleep(d)
}
