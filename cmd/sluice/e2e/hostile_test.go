package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
	"sluice/fetch/hostile"
)

// planted is a record of the corpus in the simulator's data.
type planted struct {
	hostile.Case
	raw []byte
}

// plant puts the corpus into the data of c, one record into every so many; the others are sound. Two places: its bytes come
// twice.
func plant(t *testing.T, c *apisim.Config, cases []hostile.Case, every int64, places ...int64) (all []planted) {
	t.Helper()
	c.Events = every * int64(len(cases)+2)
	return plantAt(t, c, cases, func(i int) (serials []int64) {
		for _, place := range places {
			serials = append(serials, c.Events-1-every*int64(i)-place)
		}
		return serials
	})
}

// plantAt puts the i-th record of the corpus at some serials.
func plantAt(t *testing.T, c *apisim.Config, cases []hostile.Case, at func(i int) []int64) (all []planted) {
	t.Helper()
	data, err := apisim.NewData(*c)
	if err != nil {
		t.Fatal(err)
	}
	c.Records = map[int64][]byte{}
	for i, one := range cases {
		serials := at(i)
		e := data.Event(serials[0])
		raw := one.Raw(e.ID.String(), time.UnixMilli(e.AtMS))
		for _, serial := range serials {
			c.Records[serial] = raw
		}
		c.TotalError -= int64(len(serials) - 1) // the API counts an event once, however often it lists it
		all = append(all, planted{one, raw})
	}
	return all
}

var corpus = slices.Concat(hostile.Rejected, hostile.Tolerable)

// TestHostileRecordCostsOnlyItself brings the whole corpus through the whole program, each record first, last, alone and twice
// in a page: its neighbours are rows, and it is a dead letter byte for byte with the right reason, or a row if it is only odd.
//
// Where reliability.md, section 5, expects otherwise (rows 3, 11, 20, 26, 30), the decision is: whatever can be told apart is
// a dead letter and spoils no page; UUIDs have 36 characters; numbers are epoch milliseconds, 0 included; a time to come is a
// time.
func TestHostileRecordCostsOnlyItself(t *testing.T) {
	t.Parallel()
	for name, layout := range map[string]struct {
		page   int
		every  int64
		places []int64
		args   []string
	}{
		"first":          {8, 8, []int64{0}, []string{"--shards=1"}},
		"last":           {8, 8, []int64{7}, []string{"--shards=1"}},
		"twice":          {8, 8, []int64{2, 5}, []string{"--shards=1"}},
		"next to itself": {8, 8, []int64{3, 4}, []string{"--shards=1"}},
		"alone":          {1, 2, []int64{1}, []string{"--shards=1"}},
		"four shards":    {8, 8, []int64{7}, []string{"--shards=4", "--fetchers=4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all []planted
			w := newWorld(t, 0, func(c *apisim.Config) {
				c.PageCap = layout.page
				all = plant(t, c, corpus, layout.every, layout.places...)
			})
			r := w.mustRun(cli.ExitOK, append([]string{"run", "--max-dead-letters=100000"}, layout.args...)...)
			list := w.mustRun(cli.ExitOK, "dead-letters", "list", "--limit=1000")
			if shown := r.stdout + r.stderr + list.stdout; strings.ContainsFunc(shown, func(c rune) bool { return c < ' ' && c != '\n' || c == 0x7f }) {
				t.Errorf("control characters of a record reach the terminal: %q", shown)
			}
			w.checkPlanted(all)
		})
	}
}

// checkPlanted compares the tables with what was planted and with the sound rest.
func (w *world) checkPlanted(all []planted) {
	w.t.Helper()
	defer w.keep()()
	letters := 0
	for i := range all {
		if all[i].Reason == "" {
			w.checkRow(&all[i])
			continue
		}
		letters++
		w.checkLetter(&all[i])
	}
	var dead, begun int
	var lawful bool
	w.query(`select count(*) from dead_letters`, nil, &dead)
	w.query(`select sum(received) = sum(events + duplicates + out_of_window + dead_letters) and
		sum(events) = (select count(*) from ingested_events) and sum(dead_letters) = (select count(*) from dead_letters),
		max(attempts) from ingestion_shards`, nil, &lawful, &begun)
	if dead != letters || !lawful || begun != 1 {
		w.t.Errorf("%d dead letters of %d; ledger and tables agree: %v; a shard took %d attempts", dead, letters, lawful, begun)
	}
	w.checkNeighbours(all)
}

func (w *world) checkLetter(p *planted) {
	w.t.Helper()
	const most = 1 << 20
	var found int
	w.query(`select count(*) from dead_letters where reason = $1 and raw = $2 and raw_bytes = $3 and sha256 = sha256($4)`,
		[]any{p.Reason, p.raw[:min(len(p.raw), most)], len(p.raw), p.raw}, &found)
	if found != 1 {
		var as string
		w.query(`select coalesce(string_agg(reason || ': ' || detail, '; '), 'none') from dead_letters where sha256 = sha256($1)`, []any{p.raw}, &as)
		w.t.Errorf("%s: %d dead letters with the reason %s, but %s", p.Name, found, p.Reason, as)
	}
}

// wire is a record as another reader understands it.
type wire struct {
	ID, SessionID, UserID, Type, Name string
	Properties, Timestamp             json.RawMessage
	Session                           struct{ DeviceType, Browser string }
}

// checkRow compares the row of an odd record with what another decoder reads in it; of the properties, PostgreSQL is the judge.
func (w *world) checkRow(p *planted) {
	w.t.Helper()
	var r wire
	if err := json.Unmarshal(canonical(p.raw), &r); err != nil {
		w.t.Fatalf("%s: %v", p.Name, err)
	}
	at := instant(r.Timestamp)
	if at.IsZero() {
		w.t.Fatalf("%s: no timestamp in %s", p.Name, r.Timestamp)
	}
	if r.Properties == nil {
		r.Properties = json.RawMessage(`{}`)
	}
	var found int
	w.query(`select count(*) from ingested_events where id = $1 and session_id = $2 and user_id = $3 and type = $4 and name = $5
		and properties = $6::text::jsonb and timestamp = $7 and device_type = $8 and browser = $9`,
		[]any{r.ID, r.SessionID, r.UserID, r.Type, r.Name, string(r.Properties), at.Truncate(time.Microsecond), r.Session.DeviceType,
			r.Session.Browser}, &found)
	if found != 1 {
		w.t.Errorf("%s: %d rows of %.300q", p.Name, found, p.raw)
	}
}

// instant reads a timestamp in any of the corpus's forms; it is zero if there is none.
func instant(raw []byte) (at time.Time) {
	text := strings.ToUpper(strings.Trim(string(raw), `"`))
	if ms, err := strconv.ParseFloat(text, 64); err == nil {
		return time.UnixMicro(int64(ms * 1000))
	}
	text = strings.NewReplacer(" UTC", "Z", " ", "T", ",", ".").Replace(text)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return at
}

// canonical takes out the fields that encoding/json would take for ours, because it does not mind the case of names.
func canonical(raw []byte) []byte {
	for _, folded := range []string{`,"ID":"00000000-0000-4000-8000-000000000003"`, ",\"\u017fe\u017f\u017fionId\":1"} {
		raw = []byte(strings.Replace(string(raw), folded, "", 1))
	}
	return raw
}

// checkNeighbours takes the odd records out of the table: what is left must be the truth, row for row.
func (w *world) checkNeighbours(all []planted) {
	w.t.Helper()
	var odd []uuid.UUID
	for i := range all {
		if all[i].Reason == "" {
			var r wire
			_ = json.Unmarshal(canonical(all[i].raw), &r) // checkRow has looked at it
			odd = append(odd, uuid.MustParse(r.ID))
		}
	}
	var gone int
	w.query(`with gone as (delete from ingested_events where id = any($1) returning 1) select count(*) from gone`, []any{odd}, &gone)
	want := w.sim.Data().Truth(apisim.Past, apisim.Future)
	var got apisim.Sum
	w.query(apisim.TruthSQL, []any{nil, nil}, &got.Rows, &got.Hash)
	if got != want || gone != len(odd) {
		w.t.Errorf("the table has %+v beside the odd ones, want %+v; %d odd ones of %d", got, want, gone, len(odd))
	}
}

// TestPagesOfNothingButHostileRecords: the newest page of all, the oldest, and whole pages in the middle have no readable record.
func TestPagesOfNothingButHostileRecords(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 4} {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			t.Parallel()
			var all []planted
			w := newWorld(t, 0, func(c *apisim.Config) {
				c.PageCap, c.Events = 8, 3*int64(len(hostile.Rejected))
				const group = 16 // two pages
				first := []int64{c.Events - group, c.Events / 2, 0}
				all = plantAt(t, c, hostile.Rejected[:3*group], func(i int) []int64 { return []int64{first[i/group] + int64(i%group)} })
			})
			w.mustRun(cli.ExitOK, "run", "--max-dead-letters=100000", fmt.Sprintf("--shards=%d", shards))
			w.checkPlanted(all)
		})
	}
}

// TestHostileRecordsCostBoundedMemory: records of 1 to 20 MB, deep, wide and empty ones, in pages of 5,000. The process may
// take what an ordinary load takes (about 120 MiB) and some such records, and not what they would be as trees of objects.
func TestHostileRecordsCostBoundedMemory(t *testing.T) {
	t.Parallel()
	const bound = 512 << 20
	var all []planted
	w := newWorld(t, 30_000, func(c *apisim.Config) {
		cases := append(slices.Concat(hostile.Large, hostile.Heavy), hostile.Huge)
		all = plantAt(t, c, cases, func(i int) []int64 { return []int64{29_000 - int64(i)*2_900} })
	})
	p := w.start("run", "--shards=4", "--fetchers=4", "--max-dead-letters=1000")
	peak := p.peakMemory()
	if code := p.code(t, 3*time.Minute); code != cli.ExitOK {
		t.Fatalf("exit code %d:\n%s", code, p.out.String())
	}
	w.checkPlanted(all)
	t.Logf("peak memory %d MiB", peak>>20)
	if peak == 0 || peak > bound {
		t.Errorf("peak memory %d MiB, more than %d", peak>>20, bound>>20)
	}
}

// peakMemory watches the most memory that a process has had resident, in bytes, until it ends. (What the kernel reports of a
// process that has ended begins with what its parent had when it was made.)
func (p *process) peakMemory() (peak int64) {
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
		if _, text, found := strings.Cut(string(status), "VmHWM:"); found {
			var kib int64
			_, _ = fmt.Sscan(text, &kib)
			peak = max(peak, kib<<10)
		}
		select {
		case <-p.exited:
			return peak
		case <-time.After(5 * time.Millisecond):
		}
	}
}
