package memstore

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/ledgertest"
	"sluice/shard"
)

// TestStore runs the suite that the store in PostgreSQL passes, too: what the simulation proves is worth as much as the model.
func TestStore(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledgertest.Database { return database{New()} })
}

type database struct{ *Database }

func (d database) Open(t *testing.T) ledger.Store {
	t.Helper()
	s := d.Database.Open(ledgertest.JobName, uuid.NewString(), nil)
	t.Cleanup(s.End)
	return s
}

func (d database) IDs(*testing.T) (ids []uuid.UUID) {
	d.Look(func(t *Tables) {
		for id := range t.Events {
			ids = append(ids, id)
		}
	})
	return ids
}

func (d database) Insert(_ *testing.T, rows ...shard.Event) {
	d.Look(func(t *Tables) {
		for _, e := range rows {
			t.Events[e.ID] = &Event{Event: e}
		}
	})
}

func (d database) Delete(_ *testing.T, rows ...shard.Event) {
	d.Look(func(t *Tables) {
		for _, e := range rows {
			delete(t.Events, e.ID)
		}
	})
}

func (d database) DeleteShard(_ *testing.T, id int64) {
	d.Look(func(t *Tables) { t.Shards = slices.DeleteFunc(t.Shards, func(s *Shard) bool { return s.ID == id }) })
}
