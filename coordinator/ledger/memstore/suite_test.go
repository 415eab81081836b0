package memstore_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/coordinator/ledger/ledgertest"
	"sluice/coordinator/ledger/memstore"
	"sluice/shard"
)

// TestStore runs the suite that the store in PostgreSQL passes, too.
func TestStore(t *testing.T) {
	ledgertest.Run(t, func(*testing.T) ledgertest.Database { return database{memstore.New()} })
}

type database struct{ *memstore.Database }

func (d database) Open(*testing.T) ledger.Store {
	return d.Database.Open(ledgertest.JobName, uuid.NewString(), nil)
}

func (d database) IDs(*testing.T) (ids []uuid.UUID) {
	d.Look(func(t *memstore.Tables) {
		for id := range t.Events {
			ids = append(ids, id)
		}
	})
	return ids
}

func (d database) Insert(_ *testing.T, rows ...shard.Event) {
	d.Look(func(t *memstore.Tables) {
		for _, e := range rows {
			t.Events[e.ID] = &memstore.Event{Event: e}
		}
	})
}

func (d database) Delete(_ *testing.T, rows ...shard.Event) {
	d.Look(func(t *memstore.Tables) {
		t.Delete(func(e *memstore.Event) bool {
			return slices.ContainsFunc(rows, func(r shard.Event) bool { return r.ID == e.ID })
		})
	})
}

func (d database) DeleteShard(_ *testing.T, id int64) {
	d.Look(func(t *memstore.Tables) {
		for i, s := range t.Shards {
			if s.ID == id {
				t.Shards = append(t.Shards[:i:i], t.Shards[i+1:]...)
				return
			}
		}
	})
}
