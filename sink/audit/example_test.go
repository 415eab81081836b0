package audit_test

import (
	"fmt"

	"sluice/coordinator/ledger"
	"sluice/shard"
	"sluice/sink/audit"
)

// Two windows are done, but rows of the older one were deleted.
func ExampleJudge() {
	window := func(n int, start, end shard.Instant, events, rows int64) ledger.AuditWindow {
		return ledger.AuditWindow{Rows: rows, Checkpoint: shard.Checkpoint{
			ID: int64(n), Shard: n, Window: shard.Window{Start: start, End: end}, State: shard.Done, Proof: shard.ProofOlder,
			Counts: shard.Counts{Received: events, Events: events},
		}}
	}
	figures := ledger.Audit{
		Span:    ledger.Everything,
		Windows: []ledger.AuditWindow{window(1, shard.Past, 0, 600, 597), window(2, 0, shard.Future, 400, 400)},
		Rows:    997,
	}
	v := audit.Judge(figures, 1000, 1000)
	fmt.Println(v.OK, "-", v.Findings[0])
	for _, s := range audit.Recount(&figures, v.Reopen).Shards {
		fmt.Printf("walk shard %d once more: it has %d of %d events\n", s.ID, s.Events, *s.Expected)
	}
	// Output:
	// false - shard 1 [-infinity, 1970-01-01T00:00:00Z) stored 600 events, but 597 rows lie in it
	// walk shard 1 once more: it has 597 of 600 events
}
