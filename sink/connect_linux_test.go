package sink

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/shard"
	"sluice/sink/pgtest"
)

// unheard returns a Postgres whose connection can silently die, and that waits a second for an answer.
func unheard(t *testing.T) (*bench, *Postgres, *pgtest.Proxy) {
	t.Helper()
	b, p, proxy := behind(t)
	p.config.Timeout = time.Second
	return b, p, proxy
}

// The network swallows everything: the commit is given up, retried on a new connection, and succeeds once there is one.
func TestACommitOnALineThatFellSilent(t *testing.T) {
	b, p, proxy := unheard(t)
	from, err := p.Begin(t.Context(), b.shard(t, 1).ID)
	must(t, err)
	proxy.Swallow()
	var counts shard.Counts
	var wg sync.WaitGroup
	wg.Go(func() { counts, err = p.Commit(t.Context(), batch(from, events(0, 500))) })
	awaitOutage(t, p)
	proxy.Heal()
	wg.Wait()
	must(t, err)
	equal(t, "counts", counts, shard.Counts{Received: 500, Events: 500})
	equal(t, "rows", b.count(t, `select count(*) from ingested_events`), 500)
}

// Begin, Load and Fail had no bound of their own: on a dead connection one of them held its shard for a quarter of an hour.
func TestTheLedgerOnALineThatFellSilent(t *testing.T) {
	b, p, proxy := unheard(t)
	id := b.shard(t, 1).ID
	for name, look := range map[string]func(context.Context) error{
		"load":   func(ctx context.Context) error { _, err := p.Load(ctx, b.job.ID); return err },
		"begin":  func(ctx context.Context) error { _, err := p.Begin(ctx, id); return err },
		"fail":   func(ctx context.Context) error { return p.Fail(ctx, id, shard.Pending, "why") },
		"quotas": func(ctx context.Context) error { return p.SettleQuotas(ctx, "source", []string{"list"}, unsettled) },
		"verify": p.config.verify,
		"job":    func(ctx context.Context) error { _, _, err := p.Job(ctx, "test"); return err },
	} {
		must(t, p.pool.Ping(t.Context())) // there is a connection
		proxy.Swallow()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := look(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || !transient(err) && !errors.As(err, new(*shard.TransientError)) {
			t.Errorf("%s: %v, within its own time %v", name, err, ctx.Err() == nil)
		}
		cancel()
		proxy.Heal()
		p.pool.Reset()
	}
	_, err := p.Begin(t.Context(), id)
	must(t, err)
}

// The kernel ends a connection on which the data we sent go unanswered.
func TestTheKernelGivesUpAnUnansweredLine(t *testing.T) {
	b := newBench(t)
	conn, err := b.pool.Acquire(t.Context())
	must(t, err)
	defer conn.Release()
	raw, err := conn.Conn().PgConn().Conn().(*net.TCPConn).SyscallConn()
	must(t, err)
	var ms int
	must(t, raw.Control(func(fd uintptr) { ms, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout) }))
	must(t, err)
	equal(t, "TCP_USER_TIMEOUT in ms", ms, 20_000)
}
