package ledgertest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// One run holds a job. When it gives the job back, another can take it.
func testLock(t *testing.T, r *run) {
	r.create()
	lock, err := r.Lock(t.Context())
	r.must(err)
	other := r.another()
	if _, err := other.Lock(t.Context()); !errors.Is(err, ledger.ErrLocked) {
		t.Fatalf("got %v, want ErrLocked", err)
	} else if locked := new(ledger.LockedError); !errors.As(err, &locked) || locked.Job != JobName {
		t.Errorf("%v does not name the job", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var watched error
	var watch sync.WaitGroup
	watch.Go(func() { watched = lock.Watch(ctx) })
	stop()
	watch.Wait()
	if watched != nil {
		t.Errorf("the watch of a lock that was held says %v", watched)
	}
	lock.Close(t.Context())
	lock, err = other.Lock(t.Context())
	r.must(err)
	lock.Close(t.Context())
}

// Who takes the job takes its unfinished shards: an older run can begin none.
func testLockClaims(t *testing.T, r *run) {
	r.create()
	r.begin(1)
	r.finish(2, nil)
	next := r.another()
	lock, err := next.Lock(t.Context())
	r.must(err)
	defer lock.Close(t.Context())
	if _, err := r.shards().Begin(t.Context(), r.shard(1).ID); !errors.Is(err, shard.ErrStale) {
		t.Errorf("begin by the older run: %v, want ErrStale", err)
	}
	next.begin(1)
	equal(t, "the shard that is done", r.shard(2).State, shard.Done)
}

// Quotas are kept as they were written, in the order of the endpoints, by the store's clock.
func testQuotas(t *testing.T, r *run) {
	r.create()
	endpoints := []string{"stream", "list"}
	var now time.Time
	settle := func(want ...ledger.Quota) {
		t.Helper()
		r.must(r.SettleQuotas(t.Context(), "source", endpoints, func(at time.Time, rows []ledger.Quota) []ledger.Quota {
			if at.Before(now) || time.Since(at).Abs() > time.Hour {
				t.Errorf("the store's clock says %v, after %v", at, now)
			}
			now = at
			if len(rows) != len(want) {
				t.Fatalf("%d rows", len(rows))
			}
			for i, w := range want {
				compareQuotas(t, rows[i], w)
			}
			sent := at.Truncate(time.Microsecond)
			rows[0].Limit, rows[0].Window, rows[0].Sent = 50, 60*time.Second, []time.Time{sent.Add(-time.Second), sent}
			rows[0].Runs = map[string]ledger.QuotaRun{"a": {Seen: sent, Books: true, Waiting: true}}
			rows[1].Limit, rows[1].Window, rows[1].NotBefore = 10, 1500*time.Millisecond, sent.Add(time.Minute)
			return rows
		}))
	}
	settle(ledger.Quota{Endpoint: "stream"}, ledger.Quota{Endpoint: "list"})
	sent := now.Truncate(time.Microsecond)
	settle(
		ledger.Quota{Endpoint: "stream", Limit: 50, Window: 60 * time.Second, Sent: []time.Time{sent.Add(-time.Second), sent},
			Runs: map[string]ledger.QuotaRun{"a": {Seen: sent, Books: true, Waiting: true}}},
		ledger.Quota{Endpoint: "list", Limit: 10, Window: 1500 * time.Millisecond, NotBefore: sent.Add(time.Minute)},
	)
	r.must(r.SettleQuotas(t.Context(), "another", endpoints, func(_ time.Time, rows []ledger.Quota) []ledger.Quota {
		compareQuotas(t, rows[0], ledger.Quota{Endpoint: "stream"})
		return rows
	}))
}

func compareQuotas(t *testing.T, got, want ledger.Quota) {
	t.Helper()
	same := got.Endpoint == want.Endpoint && got.Limit == want.Limit && got.Window == want.Window && got.NotBefore.Equal(want.NotBefore) &&
		len(got.Sent) == len(want.Sent) && len(got.Runs) == len(want.Runs)
	for i := 0; same && i < len(want.Sent); i++ {
		same = got.Sent[i].Equal(want.Sent[i])
	}
	for id, w := range want.Runs {
		g := got.Runs[id]
		same = same && g.Seen.Equal(w.Seen) && g.Books == w.Books && g.Waiting == w.Waiting && g.Served.Equal(w.Served)
	}
	if !same {
		t.Errorf("quota %+v, want %+v", got, want)
	}
}

// Two runs that settle at once do so one after the other: no booking is lost.
func testQuotasOfTwoRuns(t *testing.T, r *run) {
	r.create()
	const each = 10
	var runs sync.WaitGroup
	for _, run := range []*run{r, r.another()} {
		runs.Go(func() {
			for range each {
				err := run.SettleQuotas(t.Context(), "source", []string{"list"}, func(_ time.Time, rows []ledger.Quota) []ledger.Quota {
					rows[0].Limit++
					return rows
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	runs.Wait()
	r.must(r.SettleQuotas(t.Context(), "source", []string{"list"}, func(_ time.Time, rows []ledger.Quota) []ledger.Quota {
		equal(t, "bookings", rows[0].Limit, 2*each)
		return rows
	}))
}
