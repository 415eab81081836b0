// Package sink is the PostgreSQL side of Sluice: it commits batches, and it keeps the ledger that says how far each shard is.
//
// # A commit
//
// [Postgres.Commit] is one transaction. First the shard's row moves from seq to seq+1, with the new cursor and counts; the
// row is the fence, and no row at that seq means that another attempt has been here. Then the events are copied in, sorted by
// id, so that two overlapping batches cannot deadlock. Then the rejects go to dead_letters. Rows and checkpoint land
// together or not at all, and whatever kills the program, the server or the line between them, the next attempt finds both.
//
// That is the fast path, and nearly every batch takes it. A row that is there already, or that the table refuses, aborts a
// COPY as a whole; then the same batch is committed through a staging table (salvage.go), where each row finds its own fate:
// stored, known already, in conflict with what is stored, or refused.
//
// Batches that find all writers busy wait together, and go in as one transaction (group.go): many rows, sorted, are cheaper for
// the index. If that fails, for whatever reason, each is tried alone.
//
// # Faults
//
// A failed commit keeps its batch. What passes by itself (faults.go says what does) is tried again until the context ends. The
// one hard case is a connection lost at COMMIT: nobody knows whether it landed. The next attempt's update waits for the row
// until the server has settled the old transaction, and then sees: seq unmoved, so the batch goes in again; or seq moved by
// us, so it had landed. While a server is away, [Postgres.Waiting] says since when.
// A full disk is different (full.go): each try leaves dead rows, so one writer tries once a minute for all of them.
//
// # The ledger
//
// A job and its shards are rows too (jobs.go, shards.go); package coordinator/ledger has their types, and [Postgres] is its Store.
// One run at a time holds a job ([Postgres.Lock]). Who takes it claims its unfinished shards, and from then on an older run, which
// may only have been asleep, can begin none and commit to none. Quotas are kept across runs (quotas.go). [Postgres.Audit] counts
// what is there, and package sink/audit judges whether that is what should be there. [Diagnose] looks at a server before anything
// is written to it, and [Postgres.Examine] at the vital part of that at both ends of a run.
//
// All SQL of the program is in this package and in migrations, each statement just above the function that runs it.
package sink
