// Package sink is the PostgreSQL side of Sluice: it commits batches, and keeps the ledger that records how far each shard is.
//
// # A commit
//
// [Postgres.Commit] is one transaction; commit.go reads in its order. First the shard's row moves from seq to seq+1, with the new
// cursor and counts. The row is the fence: if it is not at that seq, another attempt has been here. Then the events are copied in,
// sorted by id, so that two overlapping batches cannot deadlock (batch.go, copy.go). Then the rejects go to dead_letters. Rows and
// checkpoint are stored together or not at all, and whatever kills the program, the server or the connection, the next attempt
// finds both or neither.
//
// That is the fast path, and nearly every batch takes it. A row that exists already, or that the table refuses, aborts the whole
// COPY; then the same batch is committed through a staging table (salvage.go), row by row if necessary: each is stored, known
// already, in conflict with a stored one, or refused.
//
// Batches that find all writers busy wait in a queue and share the next transaction (group.go): many rows, sorted, are cheaper for
// the index. If that fails, for whatever reason, each is tried alone.
//
// # Faults
//
// A failed commit keeps its batch, and is tried again through transient faults until the context ends (faults.go). The one hard
// case is a connection lost at COMMIT: did the transaction take effect? The next attempt's update waits for the row until the
// server has finished the old transaction. Then either the seq is unmoved, and the batch is stored again; or we have moved it, and
// the batch was stored. While a server is away, [Postgres.Waiting] says since when. A full disk is different (fulldisk.go): each
// try leaves dead rows, so one writer tries once a minute for all of them.
//
// # The ledger
//
// A job and its shards are rows, too (jobs.go, shards.go, rounds.go); package coordinator/ledger has their types, and [Postgres] is
// its Store. One run at a time holds a job ([Postgres.Lock]). Taking it claims the unfinished shards: from then on an older run,
// which may only have been asleep, can neither begin nor commit one. Quotas are kept across runs (quotas.go). [Postgres.Audit]
// counts rows, and package sink/audit judges the figures. [Diagnose] checks a server before anything is written to it, and
// [Postgres.Examine] the vital part of that at both ends of a run (package sink/doctor).
//
// All SQL of the program is in this package, in sink/doctor and in migrations, each statement just above or below the function
// that runs it.
package sink
