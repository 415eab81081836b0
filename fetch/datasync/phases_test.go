package datasync

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/fetch/quota"
	"sluice/shard"
)

// clocked loads the paged API in one attempt, and returns what its fetcher did in which time.
func (w *world) clocked() (shard.Spent, time.Duration) {
	w.t.Helper()
	clock := new(shard.Clock)
	s := &rows{row: shard.Checkpoint{ID: 1, Shard: 1, Window: shard.Window{Start: shard.Past, End: shard.Future}}, keys: map[uuid.UUID]bool{}}
	began := time.Now()
	clock.Enter(shard.Idle)
	a := shard.Attempt{
		Source: w.Client, Sink: s, From: s.row, Budget: shard.NewBudget(1 << 30), Stats: &shard.Stats{Clock: clock}, Log: w.log,
	}
	if err := w.said(a.Run(w.t.Context(), w.t.Context())); err != nil {
		w.t.Fatal(err)
	}
	return clock.Spent(), time.Since(began)
}

// What a fetcher does is reading while a request is under way, and waiting for quota while none may be made.
func TestPhasesTellQuotaFromLatency(t *testing.T) {
	const latency = 2 * time.Second
	api := new(paged)
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(latency)
		api.ServeHTTP(w, r)
	}
	s := scene{answer: slow, caps: listOnly, pacer: quota.Config{Quotas: Quotas(quota.Limit{N: 1, Window: time.Minute}, quota.Limit{N: quota.Unlimited})}}
	play(t, s, func(w *world) {
		spent, took := w.clocked()
		if want := time.Duration(api.asked) * latency; spent[shard.Fetching] != want {
			t.Errorf("reading for %s, want %s for %d requests", spent[shard.Fetching], want, api.asked)
		}
		if rest := took - spent[shard.Fetching] - spent[shard.Pacing]; rest != 0 || spent[shard.Pacing] < time.Minute*time.Duration(api.asked-2) {
			t.Errorf("waiting for quota for %s of %s: %v", spent[shard.Pacing], took, spent)
		}
	})
}

// The pause before a request is tried again is neither.
func TestPhasesTellPauses(t *testing.T) {
	api := &paged{bend: func(request int, _ *served) {
		if request == 2 || request == 3 {
			panic(http.ErrAbortHandler)
		}
	}}
	play(t, scene{answer: api.ServeHTTP, caps: listOnly}, func(w *world) {
		spent, took := w.clocked()
		if spent[shard.BackingOff] == 0 || spent[shard.BackingOff] != took-spent[shard.Fetching] {
			t.Errorf("paused for %s of %s: %v", spent[shard.BackingOff], took, spent)
		}
	})
}
