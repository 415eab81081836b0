package sink

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/pgtest"
)

func openIn(t *testing.T, url, schema string) *Postgres {
	t.Helper()
	p, err := Open(t.Context(), Config{URL: url, Schema: schema, Job: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	t.Cleanup(p.Close)
	must(t, p.Migrate(t.Context()))
	return p
}

// Jobs of one name in two schemas have nothing to do with each other: neither the lock nor the search for dead sessions.
func TestSchemasKeepJobsApart(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one, other, public := openIn(t, url, "one"), openIn(t, url, "other"), openIn(t, url, "")
	for _, p := range []*Postgres{one, other, public} {
		_, err := p.CreateJob(t.Context(), ledger.Job{Name: "test", Source: "s", Span: ledger.Everything}, []shard.Window{ledger.Everything})
		must(t, err)
	}
	hold(t, one)
	for name, p := range map[string]*Postgres{"the other schema": other, "public": public} {
		if holder, err := p.Holder(t.Context(), "test"); err != nil || holder != nil {
			t.Errorf("%s: the job is held by %v (%v)", name, holder, err)
		}
	}
	again, err := Open(t.Context(), Config{URL: url, Schema: "one", Job: "test"})
	must(t, err)
	defer again.Close()
	if holder, err := again.Holder(t.Context(), "test"); err != nil || holder == nil {
		t.Errorf("the same schema: the job is held by %v (%v)", holder, err)
	}
	tx, err := one.pool.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	_, err = tx.Exec(t.Context(), `update ingestion_shards set attempts = attempts`)
	must(t, err)
	for _, p := range []*Postgres{other, public} {
		hold(t, p)
		p.terminateHolders(t.Context(), 1)
	}
	must(t, tx.Commit(t.Context()))
}

// A schema that the role may not use is named, with the statement that lets it in: its tables look as if they were not there.
func TestASchemaThatMayNotBeUsed(t *testing.T) {
	t.Parallel()
	b, p := asRole(t)
	_, err := b.pool.Exec(t.Context(), `create schema closed`)
	must(t, err)
	_, err = Open(t.Context(), Config{URL: p.config.URL, Schema: "closed"})
	var why *ConnectError
	if !errors.As(err, &why) || !strings.Contains(why.Why, "alice may not use schema closed") {
		t.Fatalf("got %v", err)
	}
	_, err = b.pool.Exec(t.Context(), why.Hint)
	must(t, err)
	opened, err := Open(t.Context(), Config{URL: p.config.URL, Schema: "closed"})
	must(t, err)
	opened.Close()
}
