package sink

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/shard"
	"sluice/sink/pgtest"
)

// standbyAway returns a bench on a server whose synchronous standby is away until back is called. The bench itself does not wait for it;
// the store does.
func standbyAway(t *testing.T, log *syncBuffer) (b *bench, p *Postgres, back func()) {
	t.Helper()
	server := pgtest.NewServer(t, pgtest.Options{Settings: []string{"wal_level = replica", "max_wal_senders = 2", "synchronous_standby_names = 'nobody'"}})
	b = newBenchAt(t, server.URL("postgres")+"&synchronous_commit=local")
	p, err := Open(t.Context(), Config{URL: server.URL("postgres"), Job: "test", Timeout: 30 * time.Second, Run: b.Run(), Log: slog.New(slog.NewTextHandler(log, nil))})
	must(t, err)
	t.Cleanup(p.Close)
	(&bench{Postgres: p}).everySession(t, `set synchronous_commit = on`)
	return b, p, func() {
		t.Helper()
		for _, sql := range []string{`alter system set synchronous_standby_names = ''`, `select pg_reload_conf()`} {
			_, err := b.pool.Exec(t.Context(), sql)
			must(t, err)
		}
	}
}

// TestACommitWaitsForTheStandby: to end the wait after Config.Timeout would make the commit asynchronous.
func TestACommitWaitsForTheStandby(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	b, p, back := standbyAway(t, &log)
	from := b.begin(t, 1)
	var err error
	var counts shard.Counts
	var wg sync.WaitGroup
	wg.Go(func() { counts, err = p.Commit(t.Context(), batch(from, events(0, 100))) })
	awaitOutage(t, p)
	if _, why := p.Waiting(); !errors.Is(why, errStandby) {
		t.Errorf("it waits for %v", why)
	}
	b.await(t, new(atomic.Bool), `select count(*) from pg_stat_activity where wait_event = 'SyncRep' and now() - state_change > interval '3 s'`)
	equal(t, "rows that are there", b.count(t, `select count(*) from ingested_events`), 0)
	back()
	wg.Wait()
	must(t, err)
	equal(t, "counts", counts, shard.Counts{Received: 100, Events: 100})
	if strings.Contains(log.String(), "not confirmed") {
		t.Errorf("the wait was ended:\n%s", log.String())
	}
}

// An operator may end the wait all the same. The server reports success then, with a warning.
func TestAnAsynchronousCommitIsLogged(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	b, p, back := standbyAway(t, &log)
	from := b.begin(t, 1)
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { _, err = p.Commit(t.Context(), batch(from, events(0, 100))) })
	awaitOutage(t, p)
	b.count(t, `select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep'`)
	wg.Wait()
	must(t, err)
	back()
	if !strings.Contains(log.String(), "not confirmed by the synchronous standby") {
		t.Errorf("it was not said:\n%s", log.String())
	}
}

type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
