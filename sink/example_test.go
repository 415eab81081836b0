package sink_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink"
	"sluice/sink/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// A batch and its checkpoint are committed together, once: the same batch a second time is stale, and the same event in another
// batch is a duplicate.
func Example() {
	ctx := context.Background()
	url, drop, err := pgtest.Open(ctx, "example") // in a program: the URL of your database
	if err != nil {
		log.Fatal(err)
	}
	defer drop()
	db, err := sink.Open(ctx, sink.Config{URL: url, Job: "example"})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	job, err := db.CreateJob(ctx, ledger.Job{Name: "example", Source: "https://api.example.com", Span: ledger.Everything},
		[]shard.Window{ledger.Everything})
	if err != nil {
		log.Fatal(err)
	}

	shards := db.Shards(job.ID, 0)
	all, err := shards.Load(ctx)
	if err != nil {
		log.Fatal(err)
	}
	from, err := shards.Begin(ctx, all[0].ID)
	if err != nil {
		log.Fatal(err)
	}
	event := shard.Event{
		ID: uuid.New(), Session: uuid.New(), User: uuid.New(), Type: "click", Name: "buy", Properties: `{"page": "/home"}`,
		At: shard.InstantOf(time.Date(2026, 1, 27, 19, 20, 12, 0, time.UTC)), Device: "tablet", Browser: "Edge",
	}
	batch := shard.Batch{From: from, Pages: [][]shard.Event{{event}}, Seen: shard.Counts{Received: 1}, Resume: event.Key()}
	counts, err := shards.Commit(ctx, batch)
	fmt.Println("stored:", counts.Events, err)

	_, err = shards.Commit(ctx, batch)
	fmt.Println("the same batch again is stale:", err != nil)

	batch.From.Seq, batch.Proof = 1, shard.ProofOlder
	counts, err = shards.Commit(ctx, batch)
	fmt.Println("duplicates:", counts.Duplicates, err)

	all, err = shards.Load(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("shard:", all[0].State, "after", all[0].Seq, "batches")
	// Output:
	// stored: 1 <nil>
	// the same batch again is stale: true
	// duplicates: 1 <nil>
	// shard: done after 2 batches
}
