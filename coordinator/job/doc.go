// Package job ingests all events of a source into a store, exactly once, from the first request to a verdict: the public Go API of
// Sluice.
//
// A program gives it two things. A [Source] yields pages of events, newest first, and answers a few questions about itself:
// package fetch/datasync has one for the DataSync API. A [ledger.Store] keeps the rows and the ledger in transactions: package sink has one
// in PostgreSQL. Then
//
//	j, err := job.Open(ctx, job.Config{Name: "events", SourceName: "https://api.example", Connect: connect, Store: store})
//	if err != nil {
//		return err // a *job.Error: its Status says whether it is the caller's, the source's or the store's fault
//	}
//	defer j.Close()
//	verdict := j.Load(ctx)
//
// [Job.Load] plans the job if it is new, walks what is unfinished, checks the result against the source, and fetches windows again
// that turn out incomplete. However a run ends, the next one resumes where it stopped. [Job.Sync] makes one incremental pass from
// the watermark, less [Config.Lookback], to the newest event; [Job.Follow] makes one after another until it is stopped. [Plan] only looks,
// [Verify] compares table, ledger and source, and [Replay] tries dead letters again.
//
// Every method returns a [Verdict]: a [Status], a line for people, and the figures. Complete means that everything the source
// showed is in the table once, or in dead_letters.
//
// Cancelling the context stops a run gracefully: nothing new is fetched, and what was fetched is committed within [Config.Drain].
//
// # Goroutines and time
//
// The shards run in the goroutines of package coordinator. Two more keep the job's lock and share the source's quotas while a run
// is at work. A panic in a shard ends that shard ([Broken]); one in a keeper goes to [Config.Guard]. The package reads no
// environment, handles no signal and prints nothing; it knows the world only through Source, Store, a log, and package time, so
// that a run fits into a testing/synctest bubble.
package job
