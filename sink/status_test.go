package sink

import (
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	b := walked(t)
	lock, err := b.Lock(t.Context())
	must(t, err)
	defer lock.Close(t.Context())
	s, err := b.Status(t.Context(), "test")
	must(t, err)
	equal(t, "shards", len(s.Shards), 3)
	equal(t, "started", s.Shards[2].StartedAt.IsZero(), false)
	equal(t, "holder", s.Holder.Application, b.name())
	none, err := b.Status(t.Context(), "another")
	must(t, err)
	equal(t, "another job", none, nil)
	names, err := b.Jobs(t.Context())
	must(t, err)
	equal(t, "jobs", strings.Join(names, " "), "test")
}

func TestTableUse(t *testing.T) {
	b := newBench(t)
	use := func() TableUse {
		t.Helper()
		u, err := b.TableUse(t.Context())
		must(t, err)
		return u
	}
	equal(t, "rows of an empty table", use().Rows, false)
	_, err := b.Commit(t.Context(), batch(b.begin(t, 1), events(0, 10)))
	must(t, err)
	u := use()
	equal(t, "rows", u.Rows, true)
	equal(t, "foreign", u.Foreign, false)
	equal(t, "jobs", len(u.Jobs), 1)
	equal(t, "job", u.Jobs[0], JobUse{Name: "test", Source: "simulator:seed=1"})
	_, err = b.pool.Exec(t.Context(), `update ingestion_jobs set rows_before = 1`)
	must(t, err)
	equal(t, "foreign", use().Foreign, true)
	_, err = b.pool.Exec(t.Context(), `drop table ingestion_shards cascade`)
	must(t, err)
	equal(t, "foreign where there is no ledger", use().Foreign, true)
	_, err = b.pool.Exec(t.Context(), `drop table ingested_events`)
	must(t, err)
	equal(t, "there", use().There, false)
}
