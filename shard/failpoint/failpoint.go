// Package failpoint names the places in a page's way at which a crash is tried, and lets a test crash the program there.
//
// In a normal build Hit is an empty function and nothing of this package is left in the binary (a test looks). With the build
// tag failpoints it reads SLUICE_FAILPOINTS, such as
//
//	commit.sent:kill@7      SIGKILL to ourselves when the point is passed for the seventh time
//	copy.part:stop          SIGSTOP at the first time
//	*:seen                  print the name of every point when it is passed for the first time
//
// The other actions are term (SIGTERM to ourselves), panic and exit. Each prints the name of the point, and several, with
// commas between them, are obeyed together.
package failpoint

import (
	"context"
	"net"
)

// Point is a place where a crash is tried.
type Point struct{ Name, Where string }

// Points are all places, in the order in which a page and its job pass them. Two tests keep the table true: each name stands
// in the code exactly once, and small runs pass each of them.
var Points = []Point{
	{"lock.taken", "the job is ours, and so are its shards; nothing was read yet"},
	{"migration.step", "a statement of a migration was sent, its answer did not come back"},
	{"migration.done", "the tables are there, the job is not"},
	{"access.asked", "the request for stream access was sent"},
	{"access.got", "the stream's token is there"},
	{"survey.probed", "one page of the survey was read"},
	{"plan.done", "the windows are planned, nothing of them is written"},
	{"job.inserted", "the job's row is in, its shards are not, the transaction is open"},
	{"round.inserted", "the row of a round is in, its windows are not, the transaction is open"},
	{"job.created", "the job and its shards are committed"},
	{"shards.loaded", "the checkpoints were read"},
	{"shard.begun", "a shard's row says that it is ours"},
	{"quota.taken", "a slot of the quota is taken, the request is not sent"},
	{"request.sent", "the request for a page was sent"},
	{"headers.in", "the headers of the answer are there"},
	{"body.part", "a part of the body is there"},
	{"body.in", "the body is there to its clean end"},
	{"page.decoded", "the page is decoded"},
	{"page.read", "the page is trimmed and counted"},
	{"page.queued", "the page is in the queue, or already with the other half"},
	{"page.dequeued", "the page left the queue"},
	{"batch.filled", "the pages of a batch are together"},
	{"window.split", "a window is to be split by the batch, nothing of that is written"},
	{"batch.ordered", "the rows of a batch are sorted, there is no transaction"},
	{"begin.sent", "a BEGIN was sent, the checkpoint's move behind it; no answer came back"},
	{"checkpoint.moved", "the transaction is open and the checkpoint moved in it, no row is stored"},
	{"copy.part", "in the middle of a COPY: a part of the rows was sent"},
	{"copy.ended", "the end of the COPY was sent, its answer did not come back"},
	{"copy.done", "all rows of the batch are in its transaction"},
	{"copy.refused", "the table refused the batch's rows, it goes through the staging table"},
	{"staging.created", "the staging table is there, empty"},
	{"staging.filled", "the rows are in the staging table"},
	{"staging.sifted", "those that the table takes are in it"},
	{"staging.judged", "what stayed in the staging table is judged"},
	{"letters.in", "the dead letters of the batch are in its transaction"},
	{"window.pieces", "the pieces of a split window are in the transaction of the batch"},
	{"counts.amended", "the checkpoint counts what was found, the COMMIT is next"},
	{"commit.sent", "a COMMIT was sent, its answer did not come back"},
	{"commit.done", "the COMMIT was answered, nothing in memory has moved"},
	{"memory.moved", "the shard goes on from its new checkpoint"},
	{"commit.failed", "a commit failed with a fault that passes, the batch waits to go again"},
	{"commit.settled", "after a COMMIT without an answer, the row was read back"},
	{"holders.ended", "sessions of dead runs that held rows were ended"},
	{"shard.left", "a stop: the shard's row says that it waits for the next run"},
	{"shard.done", "the last page of a shard is committed"},
	{"windows.compared", "table and ledger are compared, the verdict is not written"},
	{"verdict.written", "the verdict is in the job's row"},
	{"windows.reopened", "windows that fell short are open again"},
	{"round.looked", "the newest page is there, the next round is not"},
	{"round.advanced", "the job's row says that the next round is worked on, its own row is not in, the transaction is open"},
	{"round.begun", "a round and its windows are committed"},
	{"round.judged", "all windows of a round are done and compared, it is not finished"},
	{"round.finished", "a round is finished and the watermark moved, the transaction is open"},
	{"rounds.pruned", "the windows of old rounds are summed up in that transaction, the COMMIT is next"},
	{"watermark.moved", "that is committed"},
	{"quota.saved", "what was sent of the quotas is written down"},
	{"lock.released", "the job is given back, the process is about to end"},
}

// Dial opens a connection.
type Dial = func(ctx context.Context, network, address string) (net.Conn, error)
