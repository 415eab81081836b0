package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
	"sluice/fetch/hostile"
)

// rivals are records that have the id of another event and other content: some beside it in its page, some far away in another
// window, some listed twice, and one event with several.
type rivals struct {
	names map[string][]string // by id: what the event and its rivals are called
	n     int                 // records beyond the events
}

// plantRivals replaces records of c by rivals of others.
func plantRivals(t *testing.T, c *apisim.Config) *rivals {
	t.Helper()
	data, err := apisim.NewData(*c)
	if err != nil {
		t.Fatal(err)
	}
	r := &rivals{names: map[string][]string{}}
	c.Records = map[int64][]byte{}
	plant := func(victim int64, serials ...int64) {
		e, at := data.Event(victim), data.Event(serials[0])
		name := fmt.Sprintf("rival_%d", serials[0])
		raw := hostile.Named(e.ID.String(), name, time.UnixMilli(at.AtMS))
		for _, serial := range serials {
			c.Records[serial] = raw
		}
		r.names[e.ID.String()] = append(r.names[e.ID.String()], e.Name, name)
		r.n++
		c.TotalError -= int64(len(serials) - 1) // the same record once more is no other record
	}
	for i := range int64(10) {
		plant(100*i+50, 100*i+51)             // beside it
		plant(100*i+1050, 3000-100*i)         // in another window
		plant(100*i+2050, 100*i+60, 100*i+61) // twice in a page
		plant(100*i+3050, 70+100*i, 3920-i)   // twice, far from each other
		plant(777, 1400+i)                    // ten of one event
	}
	return r
}

// check: for each id one of the contents is the row, and all others are dead letters, once each.
func (r *rivals) check(w *world, events int64) {
	w.t.Helper()
	defer w.keep()()
	for id, names := range r.names {
		want := slices.Compact(slices.Sorted(slices.Values(names)))
		var got []string
		w.query(`select array_agg(name order by name) from (
			select name from ingested_events where id::text = $1
			union all
			select convert_from(raw, 'UTF8')::json ->> 'name' from dead_letters where event_id = $1::text and reason = 'conflict') all_of_them`, []any{id}, &got)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			w.t.Errorf("%s is stored and dead-lettered as %q, want %q", id, got, want)
		}
	}
	var rows, letters int64
	var lawful bool
	w.query(`select (select count(*) from ingested_events), (select count(*) from dead_letters), sum(events) = (select count(*) from ingested_events)
		and sum(dead_letters) = (select count(*) from dead_letters) and sum(received) = sum(events + duplicates + out_of_window + dead_letters)
		from ingestion_shards`, nil, &rows, &letters, &lawful)
	if rows != events || letters != int64(r.n) || !lawful {
		w.t.Errorf("%d rows and %d dead letters, want %d and %d; the ledger agrees: %v", rows, letters, events, r.n, lawful)
	}
}

// TestConflictsAreKeptOnceEach: the same id with other content k times is k dead letters, the same content twice is one; also
// where pages come twice, ends come early and cursors expire, across shards, and after the windows were walked again.
func TestConflictsAreKeptOnceEach(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*apisim.Config){
		"calm": nil,
		"duplicates, early ends, dead cursors": func(c *apisim.Config) {
			c.Faults = apisim.Faults{Duplicate: 0.1, EarlyEnd: 0.05, ExpiredCursor: 0.05, CutBody: 0.05}
		},
		"pages of 7": func(c *apisim.Config) { c.PageCap = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r *rivals
			w := newWorld(t, 4000, func(c *apisim.Config) {
				c.PageCap = 100
				if change != nil {
					change(c)
				}
				r = plantRivals(t, c)
			})
			w.led("run", "--shards=4", "--fetchers=4")
			events := w.sim.Data().Truth(apisim.Past, apisim.Future).Rows
			r.check(w, events)
			var open int
			w.query(`with opened as (update ingestion_shards set state = 'suspect', seq = seq + 1, end_proof = null, cursor = null, resume_at = null,
				resume_id = null returning 1), job as (update ingestion_jobs set verified_at = null) select count(*) from opened`, nil, &open)
			w.led("run", "--shards=4", "--fetchers=4")
			r.check(w, events)
			w.mustRun(cli.ExitOK, "verify")
		})
	}
}

// led runs a command and, if it ends in doubt, does what is advised: a source that ends early may tell the same lie twice in a row, and
// then its total says that events are missing.
func (w *world) led(args ...string) {
	w.t.Helper()
	r := w.run(args...)
	if r.code == cli.ExitDoubt && contains(r.stderr, "backfill --again") {
		r = w.run("backfill", "--again")
	}
	if r.code != cli.ExitOK {
		w.t.Errorf("%v: exit code %d:\n%s%s", args, r.code, r.stdout, r.stderr)
	}
}

// TestConflictsAreKeptOnceEachThroughKills: what a restart reads again is no new conflict.
func TestConflictsAreKeptOnceEachThroughKills(t *testing.T) {
	t.Parallel()
	var r *rivals
	w := newWorld(t, 4000, func(c *apisim.Config) {
		slow(20 * time.Millisecond)(c)
		c.PageCap = 50
		r = plantRivals(t, c)
	})
	for range 4 {
		p := w.start("run", "--shards=3")
		w.waitFor(p, w.pages()+15+rand.Int64N(25))
		_ = p.Process.Signal(syscall.SIGKILL)
		<-p.exited
	}
	w.mustRun(cli.ExitOK, "run", "--shards=3")
	r.check(w, w.sim.Data().Truth(apisim.Past, apisim.Future).Rows)
	w.mustRun(cli.ExitOK, "verify")
}
