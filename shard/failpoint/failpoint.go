// Package failpoint names the points on a page's way at which a crash is tried, and lets a test crash the program there.
//
// In a normal build Hit is an empty function, and nothing of this package is left in the binary (a test checks that). With the
// build tag failpoints it reads SLUICE_FAILPOINTS, such as
//
//	commit.sent:kill@7      SIGKILL to this process when the point is passed for the seventh time
//	copy.part:stop          SIGSTOP at the first time
//	*:seen                  print the name of every point when it is passed for the first time
//
// The other actions are term (SIGTERM to this process), panic and exit. Each prints the name of the point. Several can be given,
// separated by commas.
package failpoint

import (
	"context"
	"net"
)

// Point is a point at which a crash is tried, and a description of the state there.
type Point struct{ Name, Where string }

// Points are all points, in the order in which a page and its job pass them. Tests keep the table true: each name is in the code
// exactly once, and small runs pass each of them.
var Points = []Point{
	{"lock.taken", "this run holds the job and its shards; nothing was read yet"},
	{"migration.step", "a statement of a migration was sent, its answer has not arrived"},
	{"migration.done", "the tables exist, the job does not"},
	{"access.asked", "the request for stream access was sent"},
	{"access.got", "the token for the stream has arrived"},
	{"survey.probed", "one page of the survey was read"},
	{"plan.done", "the windows are planned, none is written"},
	{"job.inserted", "the transaction is open with the job's row, and without its shards"},
	{"round.inserted", "the transaction is open with the row of a round, and without its windows"},
	{"job.created", "the job and its shards are committed"},
	{"shards.loaded", "the checkpoints were loaded"},
	{"shard.begun", "a shard's row says that this run has begun an attempt"},
	{"quota.taken", "a slot of the quota is taken, the request is not sent"},
	{"request.sent", "the request for a page was sent"},
	{"headers.in", "the headers of the answer have arrived"},
	{"body.part", "a part of the body has arrived"},
	{"body.in", "the whole body has arrived"},
	{"page.decoded", "the page is decoded"},
	{"page.read", "the page is trimmed and counted"},
	{"page.queued", "the page is in the queue, or already with the push half"},
	{"page.dequeued", "the page has left the queue"},
	{"batch.filled", "the pages of a batch are collected"},
	{"window.split", "the batch is to split a window, nothing of that is written"},
	{"batch.ordered", "the rows of a batch are sorted, no transaction is open"},
	{"begin.sent", "BEGIN and the move of the checkpoint were sent, no answer has arrived"},
	{"checkpoint.moved", "the transaction is open, and has moved the checkpoint but stored no row"},
	{"copy.part", "a part of the rows of a COPY was sent"},
	{"copy.ended", "the end of a COPY was sent, its answer has not arrived"},
	{"copy.done", "all rows of the batch are in its transaction"},
	{"copy.refused", "the table refused the rows of the batch, which goes through the staging table now"},
	{"staging.created", "the staging table exists, empty"},
	{"staging.filled", "the rows are in the staging table"},
	{"staging.sifted", "the rows that the table accepts are in it"},
	{"staging.judged", "the rows left in the staging table were classified"},
	{"letters.in", "the dead letters of the batch are in its transaction"},
	{"window.pieces", "the pieces of a split window are in the transaction of the batch"},
	{"counts.amended", "the counts in the checkpoint are corrected, the COMMIT is next"},
	{"commit.sent", "a COMMIT was sent, its answer has not arrived"},
	{"commit.done", "the COMMIT was confirmed, nothing in memory has changed"},
	{"memory.moved", "the shard continues from its new checkpoint"},
	{"commit.failed", "a commit failed with a transient fault, the batch waits for its next try"},
	{"commit.settled", "after a COMMIT without an answer, the row was read back"},
	{"holders.ended", "sessions of dead runs that held rows were terminated"},
	{"shard.left", "the run stops, and the shard's row says that it waits for the next one"},
	{"shard.done", "the last page of a shard is committed"},
	{"windows.compared", "table and ledger are compared, the verdict is not written"},
	{"verdict.written", "the verdict is in the job's row"},
	{"windows.reopened", "incomplete windows are open again"},
	{"round.looked", "the newest page has arrived, the next round does not exist"},
	{"round.advanced", "the transaction is open: the job's row names the next round, which has no row yet"},
	{"round.begun", "a round and its windows are committed"},
	{"round.judged", "all windows of a round are done and compared, it is not finished"},
	{"round.finished", "the transaction is open, with a finished round and the watermark moved"},
	{"rounds.pruned", "that transaction has summed up the windows of old rounds, the COMMIT is next"},
	{"watermark.moved", "that is committed"},
	{"quota.saved", "the use of the quotas is saved"},
	{"lock.released", "the job is released, the process is about to end"},
}

// Dial opens a connection.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)
