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

// rescue stores a batch that a plain COPY cannot: its rows go to a staging table that takes whatever an Event can hold, and
// from there into ingested_events, where each finds its own fate.
type rescue struct {
	tx   pgx.Tx
	load *load
	findings
}

// salvage finds out for each row whether it is new, known, in conflict with a stored one, or refused.
func (p *Postgres) salvage(ctx context.Context, tx pgx.Tx, l *load) (findings, error) {
	r := &rescue{tx: tx}
	r.load = r.readable(l)
	if len(r.load.order) == 0 {
		return r.findings, nil
	}
	if _, err := tx.Exec(ctx, createStaging); err != nil {
		return findings{}, fmt.Errorf("create the staging table: %w", err)
	}
	failpoint.Hit("staging.created")
	if err := copyRows(ctx, tx, copyStaging, newStream(true, r.load)); err != nil {
		return findings{}, err
	}
	failpoint.Hit("staging.filled")
	if err := r.sift(ctx, 0, len(r.load.order)-1); err != nil {
		return findings{}, err
	}
	failpoint.Hit("staging.sifted")
	err := r.judgeRest(ctx)
	failpoint.Hit("staging.judged")
	return r.findings, err
}

// The staging table of one transaction. Its types are wide: what the real column refuses is found row by row, not in a COPY.
const createStaging = `
create temporary table staging (
  ord integer primary key, id uuid, session_id uuid, user_id uuid, type text, name text, properties text, "timestamp" timestamptz,
  device_type text, browser text
) on commit drop`

const copyStaging = `copy pg_temp.staging (ord, ` + copyColumns + `) from stdin (format binary)`

// readable leaves out the rows whose text PostgreSQL takes in no column at all.
func (r *rescue) readable(l *load) *load {
	rest := *l
	rest.order = make([]*shard.Event, 0, len(l.order))
	for _, e := range l.order {
		if storable(e.Type, e.Name, e.Properties, e.Device, e.Browser) {
			rest.order = append(rest.order, e)
		} else {
			r.refused = append(r.refused, letter(e, ReasonRefused, "text is not UTF-8, or holds a zero byte"))
			r.left = append(r.left, e)
		}
	}
	return &rest
}

func storable(texts ...string) bool {
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return false
		}
	}
	return true
}

// maxRefused rows of one batch may be refused. More are not bad rows but a table that does not want them.
const maxRefused = 500

// sift stores the staged rows first to last. Where the table refuses one of them, halves are tried, down to the row itself.
func (r *rescue) sift(ctx context.Context, first, last int) error {
	stored, err := r.insert(ctx, first, last)
	switch {
	case err == nil:
		r.stored += stored
		return nil
	case !refusesRows(err):
		return err
	case first == last:
		return r.refuse(ctx, first, err)
	}
	middle := first + (last-first)/2
	if err := r.sift(ctx, first, middle); err != nil {
		return err
	}
	return r.sift(ctx, middle+1, last)
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

// Rows that went in leave the staging table: of those with the same id the first one, in the API's order.
const insertStaged = `
with stored as (
  insert into public.ingested_events (` + copyColumns + `)
  select id, session_id, user_id, type, name, properties::jsonb, "timestamp", device_type, browser
  from pg_temp.staging where ord between $1 and $2
  order by ord
  on conflict (id) do nothing
  returning id
), firsts as (
  select min(s.ord) as ord from pg_temp.staging s join stored using (id) where s.ord between $1 and $2 group by s.id
)
delete from pg_temp.staging s using firsts where s.ord = firsts.ord`

func (r *rescue) refuse(ctx context.Context, ord int, why error) error {
	if len(r.refused) == maxRefused {
		return fmt.Errorf("the table refuses more than %d rows of one batch, the last one because: %w", maxRefused, why)
	}
	r.refused = append(r.refused, letter(r.event(ord), ReasonRefused, explain(why)))
	r.left = append(r.left, r.event(ord))
	_, err := r.tx.Exec(ctx, deleteStaged, ord)
	return err
}

const deleteStaged = `delete from pg_temp.staging where ord = $1`

// explain tells why the server refused a row, with the constraint's name.
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

// judgeRest looks at what stayed in the staging table because the id was taken.
func (r *rescue) judgeRest(ctx context.Context) error {
	rows, _ := r.tx.Query(ctx, selectTaken)
	taken, err := pgx.CollectRows(rows, pgx.RowToStructByPos[takenRow])
	if err != nil {
		return err
	}
	for _, row := range taken {
		r.left = append(r.left, r.event(row.Ord))
		switch {
		case !row.There:
			return fmt.Errorf("the server took the row %s without an error, but it is not there: is there a trigger on ingested_events?", r.event(row.Ord).ID)
		case row.Same:
			r.known++
		default:
			r.refused = append(r.refused, letter(r.event(row.Ord), ReasonConflict, "the id is stored with other content"))
		}
	}
	return nil
}

type takenRow struct {
	Ord         int
	There, Same bool
}

// A statement of its own, so that it sees what other transactions stored while ours waited for them.
const selectTaken = `
select s.ord, e.id is not null,
  (e.session_id, e.user_id, e.type, e.name, e.properties, e."timestamp", e.device_type, e.browser)
  is not distinct from
  (s.session_id, s.user_id, s.type, s.name, s.properties::jsonb, s."timestamp", s.device_type, s.browser)
from pg_temp.staging s left join public.ingested_events e using (id)
order by s.ord`

func (r *rescue) event(ord int) *shard.Event { return r.load.order[ord] }
