package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// commandIn finds the commands in a hint.
var commandIn = regexp.MustCompile("`sluice ([^`]*)`")

// advised returns the commands in a hint.
func advised(hint string) (commands [][]string) {
	for _, m := range commandIn.FindAllStringSubmatch(hint, -1) {
		commands = append(commands, strings.Fields(m[1]))
	}
	return commands
}

// Whatever advice is printed leads to exit code 0 in at most two steps, in the state in which it is printed.
func TestAdviceLeadsToTheEndInTwoSteps(t *testing.T) {
	t.Parallel()
	span := []string{"backfill", "--from=2026-01-05", "--to=2026-01-20"}
	for name, state := range map[string]struct {
		change func(*apisim.Config)
		first  []string // default run
		wrong  func(*world)
		find   string       // the command that finds it
		sane   func(*world) // what makes the world sane again
		then   string       // what is advised without a whole command: it is given instead
		code   int          // default that of a doubt
		exact  bool         // the table is that of the API in the end
	}{
		"rows are gone": {wrong: (*world).deleteRows, find: "verify", exact: true},
		"the windows of rows that are gone are open": {wrong: (*world).deleteRows, find: "verify --repair", exact: true},
		"rows of a span are gone":                    {first: span, wrong: (*world).deleteRows, find: "verify --job=backfill-2026-01-05-2026-01-20"},
		"the table is empty":                         {wrong: func(w *world) { w.exec(`truncate ingested_events`) }, find: "run", exact: true},
		"a row of another program": {find: "verify", wrong: func(w *world) {
			w.exec(`insert into ingested_events select gen_random_uuid(), session_id, user_id, type, name, properties, "timestamp", device_type, browser
				from ingested_events limit 1`)
		}},
		"a shard is gone from the ledger": {wrong: func(w *world) {
			w.exec(`delete from ingestion_shards s where shard = 2 and not exists (select from ingestion_shards p where p.parent_id = s.id)`)
		}, find: "verify", exact: true},
		"all shards are gone from the ledger":         {wrong: func(w *world) { w.exec(`delete from ingestion_shards`) }, find: "verify", exact: true},
		"the shards of a round that goes on are gone": {change: grows, wrong: func(w *world) { w.loseRound(false) }, find: "sync"},
		"a shard is open in the ledger, and the job verified": {code: cli.ExitLeft, find: "verify", exact: true, wrong: func(w *world) {
			w.exec(`update ingestion_shards set state = 'suspect', end_proof = null where shard = 2`)
		}},
		"a round begins when shards and rows are gone": {change: grows, find: "sync --safety-lag=0s", wrong: func(w *world) {
			w.exec(`delete from ingestion_shards; truncate ingested_events`)
		}},
		"the shards of a finished round are gone": {change: grows, wrong: func(w *world) { w.loseRound(true) }, find: "verify"},
		"a row of another program in a span": {first: span, find: "verify --job=backfill-2026-01-05-2026-01-20", wrong: func(w *world) {
			w.exec(`insert into ingested_events select gen_random_uuid(), session_id, user_id, type, name, properties, "timestamp", device_type, browser
				from ingested_events limit 1`)
		}},
		"a witness is gone, and another program has written a row": {find: "verify", wrong: func(w *world) {
			w.exec(`with gone as (delete from ingested_events where id = (select (w->>'ID')::uuid from ingestion_shards s, jsonb_array_elements(s.witnesses->'older') w limit 1) returning *)
				insert into ingested_events select gen_random_uuid(), session_id, user_id, type, name, properties, "timestamp", device_type, browser from gone`)
		}},
		"the API is another one": {find: "sync", wrong: func(w *world) {
			other, _ := apisim.New(apisim.Config{Seed: 99, Events: 6_000})
			w.serves.Store(other)
		}, sane: func(w *world) { w.serves.Store(w.sim) }, then: "run", exact: true},
		"rows are gone after a replay": {find: "dead-letters replay", wrong: func(w *world) {
			w.unlearn(50)
			w.deleteRows()
		}, exact: true},
		"too many dead letters": {change: func(c *apisim.Config) { c.MalformedShare = 0.1 }, first: []string{"db", "migrate"}, find: "run --max-dead-letters=3",
			then: "run --max-dead-letters=1000"},
		"the quota is spent for an hour": {first: []string{"db", "migrate"}, code: cli.ExitLeft, exact: true, find: "run --max-wait=1s", wrong: func(w *world) {
			for _, e := range []apisim.Endpoint{apisim.List, apisim.Feed} {
				w.sim.Script(e, append(slices.Repeat([]apisim.Fault{apisim.Behave()}, 4), apisim.Limited(time.Hour))...)
			}
		}, sane: func(w *world) { w.exec(`delete from api_quotas`) }},
		"events are lost": {find: "verify", wrong: func(w *world) {
			w.exec(`update ingestion_shards set expected = events + 5 where shard = 1`)
		}},
		"the API counts wrong": {change: func(c *apisim.Config) { c.TotalError = 3 }, first: []string{"db", "migrate"}, find: "run", exact: true},
		"the job is not finished": {first: []string{"db", "migrate"}, code: cli.ExitLeft, exact: true, wrong: func(w *world) {
			for _, e := range []apisim.Endpoint{apisim.List, apisim.Feed} {
				w.sim.Script(e, append(slices.Repeat([]apisim.Fault{apisim.Behave()}, 4), apisim.Limited(time.Hour))...)
			}
			w.run("run", "--shards=4", "--max-wait=1s")
			w.exec(`delete from api_quotas`)
		}, find: "verify"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 5_000, func(c *apisim.Config) {
				if c.PageCap = 200; state.change != nil {
					state.change(c)
				}
			})
			if state.first == nil {
				state.first = []string{"run", "--shards=4"}
			}
			w.mustRun(cli.ExitOK, state.first...)
			if state.wrong != nil {
				state.wrong(w)
			}
			if state.code == 0 {
				state.code = cli.ExitDoubt
			}
			found := w.mustRun(state.code, strings.Fields(state.find)...)
			if state.sane != nil {
				state.sane(w)
			}
			w.follow(found, state.find, strings.Fields(state.then)...)
			if state.exact {
				w.exact()
			}
		})
	}
}

// follow does what the output of a command advises, and makes sure that the second step is the last. One that advises a single
// command is repeated after that.
func (w *world) follow(r ran, command string, then ...string) {
	w.t.Helper()
	_, hint, _ := strings.Cut(r.stderr, "exit code ")
	steps := advised(hint)
	switch {
	case len(then) > 0: // what is advised is no whole command
		steps = [][]string{steps[0], then}
	case len(steps) == 0 && contains(hint, "same command"):
		steps = [][]string{strings.Fields(command), strings.Fields(command)}
	case len(steps) == 1:
		steps = append(steps, strings.Fields(command))
	}
	if len(steps) != 2 {
		w.t.Fatalf("%q advises %q", command, hint)
	}
	w.run(steps[0]...)
	if last := w.run(steps[1]...); last.code != cli.ExitOK {
		w.t.Errorf("%q advises %q; after both the exit code is %d:\n%s%s", command, hint, last.code, last.stdout, last.stderr)
	}
}

// deleteRows deletes the seven oldest rows.
func (w *world) deleteRows() {
	w.exec(`delete from ingested_events where id in (select id from ingested_events order by timestamp limit 7)`)
}

// grows lets the API have new events for every round.
func grows(c *apisim.Config) {
	c.Newest = time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	c.Oldest = c.Newest.Add(-30 * 24 * time.Hour)
	c.Live.Rate = 20
}

// loseRound makes a round and deletes its shards from the ledger.
func (w *world) loseRound(finished bool) {
	w.mustRun(cli.ExitOK, "sync", "--safety-lag=0s")
	if w.exec(`delete from ingestion_shards where round = 2`); !finished {
		w.exec(`update ingestion_rounds set finished_at = null where round = 2`)
	}
}
