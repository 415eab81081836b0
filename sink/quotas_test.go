package sink

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"sluice/coordinator/ledger"
)

var endpoints = []string{"list", "stream"}

// unsettled leaves the rows as they are.
func unsettled(_ time.Time, rows []ledger.Quota) []ledger.Quota { return rows }

// settle gives a source's endpoints these quotas, and returns the previous ones.
func settle(t *testing.T, p *Postgres, source string, quotas ...ledger.Quota) (before []ledger.Quota) {
	t.Helper()
	var names []string
	for _, q := range quotas {
		names = append(names, q.Endpoint)
	}
	must(t, p.SettleQuotas(t.Context(), source, names, func(_ time.Time, rows []ledger.Quota) []ledger.Quota {
		before = rows
		return quotas
	}))
	return before
}

// TestAnOldLimitIsNotBelieved: an API that has raised its limit refuses nothing, and the higher limit would never be tried.
func TestAnOldLimitIsNotBelieved(t *testing.T) {
	b := newBench(t)
	fifty := ledger.Quota{Endpoint: "stream", Limit: 50, Window: time.Minute}
	settle(t, b.Postgres, "api", fifty)
	_, err := b.pool.Exec(t.Context(), `update api_quotas set updated_at = now() - interval '25 hours'`)
	must(t, err)
	got, err := b.LoadQuotas(t.Context(), "api")
	must(t, err)
	equal(t, "limit", got[0].Limit, 0)
	equal(t, "limit for a run", settle(t, b.Postgres, "api", fifty)[0].Limit, 0)
	equal(t, "limit that was written anew", settle(t, b.Postgres, "api", fifty)[0].Limit, 50)
}

func TestQuotasAreReadAsTheyWereWritten(t *testing.T) {
	b := newBench(t)
	at := time.UnixMicro(1_769_541_612_369_123).UTC()
	want := []ledger.Quota{
		{Endpoint: "list", Limit: 10, Window: time.Minute, Sent: []time.Time{at, at.Add(time.Second)}, Runs: map[string]ledger.QuotaRun{
			"one": {Seen: at, Books: true, Waiting: true, Served: at.Add(time.Second)}, "two": {Seen: at},
		}},
		{Endpoint: "stream", Limit: 47, Window: time.Minute, NotBefore: at},
	}
	for _, q := range settle(t, b.Postgres, "api", want...) {
		if q.Limit != 0 || len(q.Sent)+len(q.Runs) > 0 || !q.NotBefore.IsZero() {
			t.Errorf("a row that was not there has %+v", q)
		}
	}
	want[1].Sent, want[1].Runs = []time.Time{}, map[string]ledger.QuotaRun{}
	got := inUTC(settle(t, b.Postgres, "api", want...))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	other := settle(t, b.Postgres, "api", want[1], want[0]) // as they were named
	if !reflect.DeepEqual(inUTC(other), []ledger.Quota{want[1], want[0]}) {
		t.Errorf("in another order: %+v", other)
	}
	shown, err := b.LoadQuotas(t.Context(), "api")
	must(t, err)
	if !reflect.DeepEqual(inUTC(shown), want) {
		t.Errorf("shown %+v, want %+v", shown, want)
	}
	none, err := b.LoadQuotas(t.Context(), "another source")
	must(t, err)
	equal(t, "quotas of another source", len(none), 0)
}

func inUTC(quotas []ledger.Quota) []ledger.Quota {
	for i := range quotas {
		q := &quotas[i]
		if !q.NotBefore.IsZero() {
			q.NotBefore = q.NotBefore.UTC()
		}
		for j := range q.Sent {
			q.Sent[j] = q.Sent[j].UTC()
		}
	}
	return quotas
}

// Two runs that book at the same time, each in its own session: none overwrites what another has booked, and none deadlocks with
// one that reads all rows. The time that they are given never goes back.
func TestTwoRunsBookInOneRow(t *testing.T) {
	b := newBench(t)
	const each = 40
	var wg sync.WaitGroup
	var last time.Time // is guarded by the row's lock
	for run, p := range []*Postgres{b.Postgres, b.Postgres, open(t, b.url)} {
		wg.Go(func() {
			for n := range each {
				names := endpoints
				if run > 0 {
					names = endpoints[1:]
				}
				err := p.SettleQuotas(t.Context(), "api", names, func(now time.Time, rows []ledger.Quota) []ledger.Quota {
					if now.Before(last) {
						t.Errorf("the clock goes back by %s", last.Sub(now))
					}
					last = now
					q := &rows[len(rows)-1]
					q.Sent = append(q.Sent, time.UnixMicro(int64(run*each+n)))
					return rows
				})
				if err != nil {
					t.Errorf("run %d: %v", run, err)
					return
				}
			}
		})
	}
	wg.Wait()
	quotas, err := b.LoadQuotas(t.Context(), "api")
	must(t, err)
	for _, q := range quotas {
		if q.Endpoint == "stream" {
			equal(t, "booked", len(q.Sent), 3*each)
		}
	}
	equal(t, "rows", len(quotas), 2)
}

// A run that was stopped while it held the row does not hold up the others for longer than a request may wait.
func TestARowThatStaysLockedIsGivenUp(t *testing.T) {
	b := newBench(t)
	settle(t, b.Postgres, "api", ledger.Quota{Endpoint: "list"})
	tx, err := b.pool.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), `select 1 from api_quotas for update`)
	must(t, err)
	if err := b.SettleQuotas(t.Context(), "api", []string{"list"}, unsettled); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want a timeout", err)
	}
	must(t, tx.Rollback(t.Context()))
	must(t, b.SettleQuotas(t.Context(), "api", []string{"list"}, unsettled))
}
