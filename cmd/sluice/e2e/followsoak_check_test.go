package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// stored is a row, and when it came.
type stored struct {
	apisim.Event
	ingested time.Time
}

// rows returns what the source's growth has brought into the table. A row that the source does not know fails the test.
func (f *followSoak) rows() (rows []stored) {
	f.t.Helper()
	data, serials := f.sim.Data(), map[uuid.UUID]int64{}
	_, end := data.At(time.Now().Add(time.Minute)).Serials() // rows still come
	for serial := range end {
		serials[data.Event(serial).ID] = serial
	}
	conn := f.connect()
	defer conn.Close(context.Background())
	found, _ := conn.Query(context.Background(), `select id, ingested_at from ingested_events`)
	var id uuid.UUID
	var at time.Time
	_, err := pgx.ForEachRow(found, []any{&id, &at}, func() error {
		serial, ok := serials[id]
		if !ok {
			return fmt.Errorf("the table has %s, which the source has not", id)
		}
		if serial >= history {
			rows = append(rows, stored{data.Event(serial), at})
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return rows
}

// missing returns the events that were there at an instant and are not in the table.
func (f *followSoak) missing(at time.Time) (missing []apisim.Event) {
	f.t.Helper()
	have := map[uuid.UUID]bool{}
	for _, r := range f.rows() {
		have[r.ID] = true
	}
	data := f.sim.Data()
	for serial := int64(history); ; serial++ {
		e := data.Event(serial)
		if e.OrderMS > at.UnixMilli() {
			return missing
		}
		if e.ArrivesMS <= at.UnixMilli() && !have[e.ID] {
			missing = append(missing, e)
		}
	}
}

// endsRight takes one more round, and compares: what is missing came later than the lookback reaches, and is said.
func (f *followSoak) endsRight() {
	f.t.Helper()
	before := time.Now()
	r := f.world.run("sync", "--json", "--shards=4", f.flag("lookback", unitsLookback), f.flag("safety-lag", unitsLag))
	after := time.Now()
	var said cli.Result
	if err := json.Unmarshal([]byte(r.stdout), &said); err != nil || said.Round == nil || r.code != cli.ExitOK && r.code != cli.ExitDoubt {
		f.t.Fatalf("the last sync ended with %d, %v:\n%s%s", r.code, err, r.stdout, lastLines(r.stderr))
	}
	missing := f.missing(before)
	lost := slices.DeleteFunc(slices.Clone(missing), func(e apisim.Event) bool {
		return time.Duration(e.ArrivesMS-e.AtMS)*time.Millisecond >= unitsLookback*f.unit
	})
	if len(lost) > 0 {
		f.t.Errorf("%d events are missing that the lookback reaches, such as %+v", len(lost), lost[0])
	}
	rows := f.number(`select count(*) from ingested_events`)
	data := f.sim.Data()
	least, most := data.At(before).Events()-rows, data.At(after).Events()-rows
	if said.Round.Missing < least || said.Round.Missing > max(0, most) {
		f.t.Errorf("the last round says that %d are missing, want %d to %d", said.Round.Missing, least, most)
	}
	f.t.Logf("missing, all later than the lookback: %d; the last round says %d", len(missing), said.Round.Missing)
}

// isMended reads by a backfill what came too late, and then nothing is missing of what was there.
func (f *followSoak) isMended() {
	f.t.Helper()
	before := time.Now()
	f.mustRun(cli.ExitOK, "backfill", "--from="+f.live.Add(-time.Minute).UTC().Format(time.RFC3339), "--to="+before.Add(time.Minute).UTC().Format(time.RFC3339))
	if missing := f.missing(before); len(missing) > 0 {
		f.t.Errorf("after a backfill %d events are missing, such as %+v", len(missing), missing[0])
	}
	settled := before.Add(-unitsLatest * f.unit).Truncate(time.Millisecond)
	r := f.mustRun(cli.ExitOK, append(f.simulate, "--truth", "--at="+before.UTC().Format(time.RFC3339Nano), "--to="+settled.UTC().Format(time.RFC3339Nano))...)
	var got apisim.Sum
	if f.query(apisim.TruthSQL, []any{nil, settled}, &got.Rows, &got.Hash); fmt.Sprintf("%d|%s\n", got.Rows, got.Hash) != r.stdout {
		f.t.Errorf("before %s the table has %d rows with hash %s, the source %s", settled, got.Rows, got.Hash, r.stdout)
	}
	f.mustRun(cli.ExitOK, "verify")
}
