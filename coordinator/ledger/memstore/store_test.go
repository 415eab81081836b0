package memstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// flaky loses the answer to every other commit, as a connection that is cut at COMMIT does.
type flaky struct{ answers int }

func (*flaky) Send(context.Context, *Statement) error { return nil }

func (f *flaky) Answer(s *Statement) error {
	if s.Name != "commit" {
		return nil
	}
	if f.answers++; f.answers%2 == 1 {
		return &shard.TransientError{Err: errors.New("the connection was lost")}
	}
	return nil
}

func TestACommitWhoseAnswerIsLostIsCountedOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := New()
	s := db.Open("job", "run", &flaky{})
	lock, err := s.Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close(ctx)
	job, err := s.CreateJob(ctx, ledger.Job{Name: "job", Span: ledger.Everything}, []shard.Window{ledger.Everything})
	if err != nil {
		t.Fatal(err)
	}
	shards := s.Shards(job.ID, 0)
	all, err := shards.Load(ctx)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	from, err := shards.Begin(ctx, all[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	events := []shard.Event{{ID: uuid.New(), At: shard.InstantOf(time.Now())}}
	counts, err := shards.Commit(ctx, shard.Batch{
		From: from, Pages: [][]shard.Event{events}, Seen: shard.Counts{Received: 1}, Proof: shard.ProofConfirmed,
	})
	if want := (shard.Counts{Received: 1, Events: 1}); err != nil || counts != want {
		t.Errorf("%+v, %v; want %+v", counts, err, want)
	}
	if _, err := shards.Begin(ctx, all[0].ID); !errors.Is(err, shard.ErrStale) {
		t.Errorf("a shard that is done begins again: %v", err)
	}
	if other, err := db.Open("job", "other", nil).Audit(ctx, job.ID); err != nil || other.Rows != 1 || other.Windows[0].Rows != 1 {
		t.Errorf("%+v, %v", other, err)
	}
}
