package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/coordinator/job"
	"sluice/fetch/apisim"
)

// unlearn turns one row in n into the dead letter that an older decoder would have made of its record, counted as one. It locks
// the shards before the rows, as a commit does: a run may be under way.
func (w *world) unlearn(n int) (letters int) {
	w.t.Helper()
	w.exec(fmt.Sprintf(unlearnSQL, n))
	w.query(`select count(*) from dead_letters where detail = 'an older decoder'`, nil, &letters)
	return letters
}

const unlearnSQL = `
begin;
lock table ingestion_shards in share row exclusive mode;
with gone as (
  delete from ingested_events where ('x' || right(id::text, 6))::bit(24)::int %% %d = 0 returning *
), kept as (
  insert into dead_letters (job_id, shard_id, seq, sha256, raw, raw_bytes, event_id, reason, detail, endpoint)
  select s.job_id, s.id, s.seq, sha256(r.raw), r.raw, length(r.raw), case when r.n %% 2 = 0 then r.id::text end, 'timestamp', 'an older decoder', 'list'
  from (
    select *, row_number() over () as n, convert_to(json_build_object('id', upper(id::text), 'sessionId', session_id, 'userId', user_id,
      'type', type, 'name', name, 'properties', properties, 'timestamp', to_char(timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MSZ'),
      'session', json_build_object('deviceType', device_type, 'browser', browser))::text, 'UTF8') as raw
    from gone
  ) r join ingestion_shards s on r.timestamp >= s.window_start and r.timestamp < s.window_end
  returning shard_id
)
update ingestion_shards s set events = events - c.n, dead_letters = dead_letters + c.n, verified_rows = null
from (select shard_id, count(*) as n from kept group by 1) c where s.id = c.shard_id;
commit`

// replayJSON runs a replay and returns what it says of itself.
func (w *world) replayJSON(code int, args ...string) (all job.Replayed) {
	w.t.Helper()
	r := w.mustRun(code, append([]string{"dead-letters", "replay", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil {
		w.t.Fatalf("%v in\n%s", err, r.stdout)
	}
	return all
}

// TestReplayWithANewerDecoder: all that the older one refused is stored, once, and the job is as complete and verified as one
// that never had a dead letter.
func TestReplayWithANewerDecoder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, nil)
	w.mustRun(cli.ExitOK, "run", "--shards=4")
	n := w.unlearn(50)
	if n < 200 {
		t.Fatalf("only %d letters", n)
	}
	w.mustRun(cli.ExitOK, "verify")
	if dry := w.replayJSON(cli.ExitOK, "--dry-run"); dry.Stored != n || !dry.DryRun {
		t.Errorf("a rehearsal says %+v", dry)
	}
	if none := w.replayJSON(cli.ExitOK, "--reason=nul"); none.Settled() != 0 || len(none.Left) != 0 {
		t.Errorf("of another reason: %+v", none)
	}
	var id int64
	w.query(`select max(id) from dead_letters`, nil, &id)
	if one := w.replayJSON(cli.ExitOK, fmt.Sprintf("--id=%d", id)); one.Stored != 1 {
		t.Errorf("one letter: %+v", one)
	}
	if rest := w.replayJSON(cli.ExitOK); rest.Stored != n-1 || len(rest.Left) != 0 || !contains(rest.Check, "20000 rows") {
		t.Errorf("the rest: %+v", rest)
	}
	w.complete()
	if again := w.replayJSON(cli.ExitOK, fmt.Sprintf("--id=%d", id)); again.Before != 1 || again.Settled() != 0 {
		t.Errorf("once more: %+v", again)
	}
	w.mustRun(cli.ExitUsage, "dead-letters", "replay", "--id=4711")
	if r := w.mustRun(cli.ExitOK, "dead-letters", "list"); !contains(r.stdout, "there are none") {
		t.Errorf("replayed letters are listed:\n%s", r.stdout)
	}
	if r := w.mustRun(cli.ExitOK, "dead-letters", "list", "--replayed", "--json"); !contains(r.stdout, "replayed_at") {
		t.Errorf("replayed letters are not listed:\n%s", r.stdout)
	}
}

// complete checks that the table is the truth, that the check agrees, and that a run has nothing to do.
func (w *world) complete() {
	w.t.Helper()
	w.exact()
	w.mustRun(cli.ExitOK, "verify")
	before := w.pages()
	w.mustRun(cli.ExitOK, "run", "--shards=4")
	if asked := w.pages() - before; asked != 0 {
		w.t.Errorf("a run after the replay asked for %d pages", asked)
	}
}

// TestReplayThatChangesNothingSaysWhy: what is still malformed stays, with its reason, and nothing else changes.
func TestReplayThatChangesNothingSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, func(c *apisim.Config) { c.MalformedShare = 0.005 })
	w.mustRun(cli.ExitOK, "run", "--shards=4", "--max-dead-letters=1000")
	var letters, reasons int
	w.query(`select count(*), count(distinct reason) from dead_letters`, nil, &letters, &reasons)
	all := w.replayJSON(cli.ExitOK)
	told := map[string]bool{}
	for _, left := range all.Left {
		told[left.Reason] = true
		if left.Detail == "" {
			t.Errorf("letter %d stays without a reason", left.ID)
		}
	}
	if len(all.Left) != letters || len(told) != reasons || all.Settled() != 0 {
		t.Errorf("%d letters of %d reasons are left of %d of %d; %+v", len(all.Left), len(told), letters, reasons, all)
	}
	if r := w.mustRun(cli.ExitOK, "dead-letters", "replay"); strings.ContainsAny(r.stdout, "\x1b\x00") || !contains(r.stdout, "still dead letters") {
		t.Errorf("%q", r.stdout)
	}
	w.complete()
}

// TestReplayAfterTheTableWasMended: rows that a constraint refused are stored when it is gone.
func TestReplayAfterTheTableWasMended(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 6_000, nil)
	w.migrated(`alter table ingested_events add constraint picky check (right(name, 1) <> 'q')`)
	w.mustRun(cli.ExitOK, "run", "--shards=4", "--max-dead-letters=10000")
	var letters int
	w.query(`select count(*) from dead_letters where reason = 'refused'`, nil, &letters)
	if still := w.replayJSON(cli.ExitOK); letters < 100 || len(still.Left) != letters {
		t.Errorf("%d letters, and with the constraint there %d are left", letters, len(still.Left))
	}
	w.migrated(`alter table ingested_events drop constraint picky`)
	if all := w.replayJSON(cli.ExitOK); all.Stored != letters {
		t.Errorf("%+v, want %d stored", all, letters)
	}
	w.complete()
}

// TestReplayOfMendedRecords: an operator's records take the place of those that were received, by the ids of their letters.
func TestReplayOfMendedRecords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, func(c *apisim.Config) { c.MalformedShare = 0.002 })
	w.mustRun(cli.ExitOK, "run", "--shards=4", "--max-dead-letters=1000")
	var letters []cli.DeadLetter
	if err := json.Unmarshal([]byte(w.mustRun(cli.ExitOK, "dead-letters", "list", "--json").stdout), &letters); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mended.jsonl")
	write := func(lines ...string) string {
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		return "--from-file=" + file
	}
	lines, data := w.mend(letters)
	if half := w.replayJSON(cli.ExitOK, write(lines[:len(lines)/2]...)); half.Stored != len(lines)/2 {
		t.Errorf("half of them: %+v", half)
	}
	if all := w.replayJSON(cli.ExitOK, write(lines...)); all.Before != len(lines)/2 || all.Settled()+all.Before != len(lines) {
		t.Errorf("all of %d: %+v", len(lines), all)
	}
	for name, c := range map[string]struct{ line, want string }{
		"not JSON":    {`{"id":1`, "line 1"},
		"no record":   {`{"id":1}`, "no record"},
		"an old form": {`{"id":1,"raw":"{}"}`, "raw"},
		"two":         {lines[0] + "\n" + lines[0], "twice"},
		"empty":       {"\n", "no record in it"},
		"not there":   {`{"id":4711,"record":{}}`, "no dead letter 4711"},
	} {
		if r := w.mustRun(cli.ExitUsage, "dead-letters", "replay", write(c.line)); !contains(r.stderr, c.want) {
			t.Errorf("%s: %q is not in\n%s", name, c.want, r.stderr)
		}
	}
	w.mustRun(cli.ExitOK, "verify")
	var rows int64
	w.query(`select count(*) from ingested_events`, nil, &rows)
	if rows != data {
		t.Errorf("%d rows, want %d", rows, data)
	}
}

// mend writes the lines that mend all letters, and returns how many rows there must be then.
func (w *world) mend(letters []cli.DeadLetter) (lines []string, rows int64) {
	data := w.sim.Data()
	serials := map[string]int64{}
	for serial := range data.Events() {
		if raw := data.MalformedRecord(serial); raw != nil {
			serials[string(raw[:min(len(raw), 200)])] = serial
		}
	}
	for _, l := range letters {
		begin := l.Raw
		if begin == "" {
			continue // not UTF-8
		}
		serial, ok := serials[begin]
		if !ok {
			w.t.Fatalf("no record begins with %q", begin)
		}
		e := data.Event(serial)
		lines = append(lines, fmt.Sprintf(`{"id":%d,"record":{"id":"%s","sessionId":"%s","userId":"%s","type":"%s","name":"%s","timestamp":%d,`+
			`"session":{"deviceType":"%s","browser":"%s"}}}`, l.ID, e.ID, e.Session, e.User, e.Type, e.Name, e.AtMS, e.Device, e.Browser))
	}
	return lines, data.Truth(apisim.Past, apisim.Future).Rows + int64(len(lines))
}

// TestMendedRecordOfAnotherEventIsRefused: a mix-up of ids would store a letter's record under another's.
func TestMendedRecordOfAnotherEventIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(cli.ExitOK, "run")
	w.unlearn(100)
	var id int64
	w.query(`select min(id) from dead_letters where event_id is not null`, nil, &id)
	file := filepath.Join(t.TempDir(), "mended.jsonl")
	line := fmt.Sprintf(`{"id":%d,"record":{"id":"00000000-0000-4000-8000-000000000001","sessionId":"00000000-0000-4000-8000-000000000001",`+
		`"userId":"00000000-0000-4000-8000-000000000001","type":"t","name":"n","timestamp":1700000000000,"session":{"deviceType":"d","browser":"b"}}}`, id)
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if all := w.replayJSON(cli.ExitOK, "--from-file="+file); len(all.Left) != 1 || !contains(all.Left[0].Detail, "it is the event") {
		t.Errorf("%+v", all)
	}
}

// TestReplayKilledThenExact kills replays at random moments, beside a run that is still under way at first.
func TestReplayKilledThenExact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12_000, slow(60*time.Millisecond))
	p := w.start("run", "--shards=4", "--max-dead-letters=100000")
	w.waitFor(p, 40)
	letters := w.unlearn(10)
	kills := 0
	for range 8 {
		replay := w.start("dead-letters", "replay", "--log-level=error")
		select {
		case <-replay.exited:
		case <-time.After(time.Duration(20+rand.IntN(120)) * time.Millisecond):
			kills++
			_ = replay.Process.Signal(syscall.SIGKILL)
			<-replay.exited
		}
	}
	if code := p.code(t, 2*time.Minute); code != cli.ExitOK {
		t.Fatalf("the run beside the replays: exit code %d:\n%s", code, p.out.String())
	}
	all := w.replayJSON(cli.ExitOK)
	t.Logf("%d letters, %d kills, %d left to the last replay", letters, kills, all.Settled())
	if letters < 100 || len(all.Left) != 0 {
		t.Errorf("%d letters; %+v", letters, all)
	}
	w.complete()
}
