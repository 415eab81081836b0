package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/shard"
	"sluice/shard/failpoint"
)

// rescue stores a batch that a plain COPY cannot: its rows go to a staging table that accepts everything an Event can hold, and
// from there into ingested_events, each with its own result.
type rescue struct {
	tx   pgx.Tx
	rows *prepared
	outcome
}

// salvage stores the rows of a batch one by one, as far as necessary: each is new, known, in conflict with a stored one, or
// refused.
func salvage(ctx context.Context, tx pgx.Tx, c *commit) (outcome, error) {
	r := &rescue{tx: tx}
	r.rows = r.storable(c.prepared)
	if len(r.rows.order) == 0 {
		return r.outcome, nil
	}
	if _, err := tx.Exec(ctx, createStaging); err != nil {
		return outcome{}, fmt.Errorf("create the staging table: %w", err)
	}
	failpoint.Hit("staging.created")
	if err := copyRows(ctx, tx, copyStaging, true, 1, r.rows); err != nil {
		return outcome{}, err
	}
	if _, err := tx.Exec(ctx, checkDeferred); err != nil { // from here on in each insert, whose savepoint can be undone
		return outcome{}, err
	}
	failpoint.Hit("staging.filled")
	rows, pieces := len(r.rows.order), min(c.pieces, len(r.rows.order))
	for n := range pieces {
		if err := r.bisect(ctx, rows*n/pieces, rows*(n+1)/pieces-1); err != nil {
			return outcome{}, err
		}
	}
	failpoint.Hit("staging.sifted")
	err := r.compareRest(ctx)
	failpoint.Hit("staging.judged")
	return r.outcome, err
}

// The staging table of one transaction. Its types are wide, so that a value which the real column refuses fails in an insert, not
// in a COPY.
const createStaging = `
create temporary table staging (
  ord integer primary key, id uuid, session_id uuid, user_id uuid, type text, name text, properties text, "timestamp" timestamptz,
  device_type text, browser text
) on commit drop`

const copyStaging = `copy pg_temp.staging (ord, ` + copyColumns + `) from stdin (format binary)`

// storable leaves out the rows with text that no column can hold.
func (r *rescue) storable(p *prepared) *prepared {
	rest := *p
	rest.order = make([]*shard.Event, 0, len(p.order))
	for _, e := range p.order {
		if storableText(e.Type, e.Name, e.Properties, e.Device, e.Browser) {
			rest.order = append(rest.order, e)
		} else {
			r.refuse(e, ReasonRefused, "text is not UTF-8, or holds a zero byte")
		}
	}
	return &rest
}

func storableText(texts ...string) bool {
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return false
		}
	}
	return true
}

// maxRefused rows of one batch may be refused. If there are more, the fault is not with the rows but with the table.
const maxRefused = 500

// bisect stores the staged rows first to last. If the table refuses one of them, each half is tried, down to the row itself.
func (r *rescue) bisect(ctx context.Context, first, last int) error {
	stored, err := r.insert(ctx, first, last)
	switch {
	case err == nil:
		r.stored += stored
		return nil
	case !refusesRows(err):
		return err
	case first == last:
		return r.drop(ctx, first, err)
	}
	middle := first + (last-first)/2
	if err := r.bisect(ctx, first, middle); err != nil {
		return err
	}
	return r.bisect(ctx, middle+1, last)
}

// insert moves the staged rows first to last that are new into ingested_events.
func (r *rescue) insert(ctx context.Context, first, last int) (stored int64, err error) {
	err = pgx.BeginFunc(ctx, r.tx, func(savepoint pgx.Tx) error {
		tag, err := savepoint.Exec(ctx, insertStaged, first, last)
		stored = tag.RowsAffected()
		return err
	})
	return stored, err
}

// Stored rows leave the staging table: of those with the same id the first one, in the API's order.
const insertStaged = `
with stored as (
  insert into ingested_events (` + copyColumns + `)
  select id, session_id, user_id, type, name, properties::jsonb, "timestamp", device_type, browser
  from pg_temp.staging where ord between $1 and $2
  order by ord
  on conflict (id) do nothing
  returning id
), firsts as (
  select min(s.ord) as ord from pg_temp.staging s join stored using (id) where s.ord between $1 and $2 group by s.id
)
delete from pg_temp.staging s using firsts where s.ord = firsts.ord`

// drop makes a dead letter of a staged row.
func (r *rescue) drop(ctx context.Context, ord int, why error) error {
	if len(r.refused) == maxRefused {
		return fmt.Errorf("the table refuses more than %d rows of one batch, the last one because: %w", maxRefused, why)
	}
	r.refuse(r.event(ord), ReasonRefused, explain(why))
	_, err := r.tx.Exec(ctx, deleteStaged, ord)
	return err
}

const deleteStaged = `delete from pg_temp.staging where ord = $1`

// explain returns why the server refused a row, with the constraint's name.
func explain(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err.Error()
	}
	msg := fmt.Sprintf("%s (SQLSTATE %s)", pg.Message, pg.Code)
	if pg.Detail != "" && pg.Code != uniqueViolation {
		msg += ": " + pg.Detail
	}
	return msg
}

// compareRest compares the rows that stayed in the staging table, because their id was taken, with the stored ones.
func (r *rescue) compareRest(ctx context.Context) error {
	rows, _ := r.tx.Query(ctx, selectTaken)
	taken, err := pgx.CollectRows(rows, pgx.RowToStructByPos[takenRow])
	if err != nil {
		return err
	}
	for _, row := range taken {
		e := r.event(row.Ord)
		switch {
		case !row.There:
			return fmt.Errorf("the server took the row %s without an error, but it is not there: is there a trigger on ingested_events?", e.ID)
		case row.Same:
			r.known++
			r.notStored = append(r.notStored, e)
		default:
			r.refuse(e, ReasonConflict, "the id is stored with other content")
		}
	}
	return nil
}

type takenRow struct {
	Ord         int
	There, Same bool
}

// A statement of its own, so that it sees what other transactions stored while ours waited for them. Text is compared by its bytes:
// a column's own collation may hold different ones for equal.
const selectTaken = `
select s.ord, e.id is not null,
  (e.session_id, e.user_id, e.type collate "C", e.name collate "C", e.properties, e."timestamp", e.device_type collate "C", e.browser collate "C")
  is not distinct from
  (s.session_id, s.user_id, s.type, s.name, s.properties::jsonb, s."timestamp", s.device_type, s.browser)
from pg_temp.staging s left join ingested_events e using (id)
order by s.ord`

func (r *rescue) event(ord int) *shard.Event { return r.rows.order[ord] }

func (r *rescue) refuse(e *shard.Event, reason, detail string) {
	r.refused = append(r.refused, rejectOf(e, reason, detail))
	r.notStored = append(r.notStored, e)
}
