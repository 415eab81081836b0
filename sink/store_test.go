package sink

import (
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/ledgertest"
	"sluice/shard"
	"sluice/sink/pgtest"
)

// TestStore runs the suite that the simulated store of the coordinator's tests passes, too.
func TestStore(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Database { return database(pgtest.Database(t)) })
}

// database is the URL of one.
type database string

func (d database) Open(t *testing.T) ledger.Store {
	t.Helper()
	p, err := Open(t.Context(), Config{URL: string(d), Job: ledgertest.JobName, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

func (d database) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), string(d))
	must(t, err)
	return conn
}

func (d database) IDs(t *testing.T) []uuid.UUID {
	t.Helper()
	conn := d.connect(t)
	defer conn.Close(t.Context())
	rows, _ := conn.Query(t.Context(), `select id from ingested_events`)
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	must(t, err)
	return ids
}

func (d database) Insert(t *testing.T, rows ...shard.Event) {
	t.Helper()
	conn := d.connect(t)
	defer conn.Close(t.Context())
	for _, e := range rows {
		_, err := conn.Exec(t.Context(), insertEvent, e.ID, e.Session, e.User, e.Type, e.Name, e.Properties, timestamptz(e.At), e.Device, e.Browser)
		must(t, err)
	}
}

func (d database) Delete(t *testing.T, rows ...shard.Event) {
	t.Helper()
	conn := d.connect(t)
	defer conn.Close(t.Context())
	for _, e := range rows {
		_, err := conn.Exec(t.Context(), `delete from ingested_events where id = $1`, e.ID)
		must(t, err)
	}
}

func (d database) DeleteShard(t *testing.T, id int64) {
	t.Helper()
	conn := d.connect(t)
	defer conn.Close(t.Context())
	_, err := conn.Exec(t.Context(), `delete from ingestion_shards where id = $1`, id)
	must(t, err)
}
