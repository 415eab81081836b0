package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
	"sluice/sink/pgtest"
)

// roundPoints are the steps of a round's life that the life of a page does not have.
var roundPoints = []string{"round.looked", "round.advanced", "round.begun", "round.judged", "round.finished", "rounds.pruned", "watermark.moved"}

// roundWorld is a crash world whose source goes on: it has rounds.
type roundWorld struct {
	*crashWorld
	source *growing
}

func newRoundWorld(t *testing.T) *roundWorld {
	t.Helper()
	g := newGrown(t, apisim.Live{Rate: 5, LateShare: 0.2, LateBy: 2 * time.Second})
	c := &crashWorld{world: g.world, direct: g.env[cli.EnvDatabase], args: []string{"sync", "--shards=3", "--safety-lag=0s"}}
	return &roundWorld{c, g}
}

// A sync is killed at each step of a round, and then at those of its pages: each next one goes on, no round is there twice, and the
// watermark is that of the newest round that is finished.
func TestCrashAtEveryPointOfARound(t *testing.T) {
	t.Parallel()
	crashRounds(t, func(t *testing.T, _ uint64) {
		w := newRoundWorld(t)
		for _, point := range append(slices.Clone(roundPoints), "shards.loaded", "checkpoint.moved", "commit.sent", "shard.done") {
			killed := w.killed(point, point+":kill")
			name := point
			if !slices.Contains(roundPoints, point) {
				name = "in a round, " + point
			}
			if crashes.add(name, killed, w.roundsAreSound(point)); !killed {
				t.Errorf("nothing was killed at %s", point)
			}
		}
		w.endRounds()
	})
}

// roundAccidents are what happens to the database while a sync stands at a step of a transaction.
var roundAccidents = map[string]func(*roundWorld){
	"terminated": func(w *roundWorld) {
		w.exec(`select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'sluice/%' and datname = current_database()`)
	},
	"line cut before the commit": func(w *roundWorld) { w.proxy.Cut(pgtest.BeforeCommit) },
	"line cut after the commit":  func(w *roundWorld) { w.proxy.Cut(pgtest.AfterCommit) },
}

// The database breaks at the steps of a round's transactions, and before and after their COMMIT. The sync may end with that; what
// the next one finds is sound.
func TestCrashOfTheDatabaseInARound(t *testing.T) {
	t.Parallel()
	crashRounds(t, func(t *testing.T, _ uint64) {
		w := newRoundWorld(t)
		w.proxy = pgtest.NewProxy(t, w.direct)
		n := 0
		for what, accident := range roundAccidents {
			n++
			for m, point := range []string{"round.advanced", "round.inserted", "round.judged", "round.finished", "rounds.pruned"} {
				if crashRuns(t) == 1 && m%3 != n%3 { // the short run takes each of the ways, and each of the points
					continue
				}
				w.env[cli.EnvDatabase] = w.proxy.URL()
				p := w.launch(point + ":stop")
				w.awaitStop(p)
				w.env[cli.EnvDatabase] = w.direct
				accident(w)
				w.wake(p)
				if code := p.code(t, time.Minute); !slices.Contains([]int{cli.ExitOK, cli.ExitUnreachable, cli.ExitLeft}, code) {
					t.Errorf("%s at %s: exit code %d:\n%s", what, point, code, p.out.String())
				}
				crashes.add(what+" at "+point, true, w.roundsAreSound(what+" at "+point))
			}
		}
		w.endRounds()
	})
}

// roundInvariants are what must be true of rounds at every moment.
const roundInvariants = `
with numbered as (
  select r.*, lag(finished_at) over (order by round) is null and round > 1 as before_open,
    (select count(*) from ingestion_shards s where s.job_id = r.job_id and s.round = r.round and s.parent_id is null) as windows,
    (select count(*) from ingestion_shards s where s.job_id = r.job_id and s.round = r.round and s.state <> 'done') as open
  from ingestion_rounds r
), tiles as (
  select window_start, lag(window_end) over (partition by round order by window_start) as neighbour from ingestion_shards
)
select 'rounds begun while the one before was open', count(*) from numbered where before_open
union all select 'rounds without all of their windows', count(*) from numbered where windows <> shards
union all select 'finished rounds with open windows', count(*) from numbered where finished_at is not null and open > 0
union all select 'windows that do not meet', count(*) from tiles where neighbour <> window_start
union all select 'jobs that work on a round that is not there', count(*) from ingestion_jobs where round not in (select round from ingestion_rounds)
union all select 'watermarks that are not that of the finished rounds', count(*) from ingestion_jobs
  where watermark is distinct from (select max(candidate) from ingestion_rounds where finished_at is not null)
union all select 'rounds from after the watermark', count(*) from numbered r where round > 1 and span_start is distinct from (
  select max(candidate) - interval '10 minutes' from ingestion_rounds b where b.round < r.round)
union all select 'rows that the ledger does not count', abs(
  (select count(*) from ingested_events) - (select sum(events) from ingestion_shards))::bigint`

// roundsAreSound checks all that in the database, at one moment.
func (w *roundWorld) roundsAreSound(after string) (sound bool) {
	w.t.Helper()
	sound = true
	w.ask(func(conn *pgx.Conn) error {
		rows, _ := conn.Query(context.Background(), roundInvariants)
		var what string
		var n int64
		_, err := pgx.ForEachRow(rows, []any{&what, &n}, func() error {
			if n > 0 {
				sound = false
				w.t.Errorf("after %s: %s: %d", after, what, n)
			}
			return nil
		})
		return err
	})
	return sound
}

// endRounds finishes what is left, and takes one more round: then everything is there, once.
func (w *roundWorld) endRounds() {
	w.t.Helper()
	w.mustRun(cli.ExitOK, "sync")
	began := time.Now()
	w.mustRun(cli.ExitOK, "sync")
	w.roundsAreSound("the end")
	w.source.exactUpTo(began.Add(-10 * time.Second)) // none comes later than that
}
