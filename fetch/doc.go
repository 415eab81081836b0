// Package fetch reads pages of events from an HTTP API: it sends requests within the API's quotas, survives faults of the network
// and of the API, and walks from page to page. It knows no particular API. What is particular to one is described by an
// implementation of the interface API; package datasync is the one that Sluice uses, and the package's example is one of sixty
// lines.
//
// # The way of one page
//
// A shard ranges over Client.Pages, which is a loop (pages.go): ask for a page, yield it, and make the next question of its
// cursor. The words for that are in api.go: a Question says how a page is asked for, a door is an endpoint with a quota of its
// own, and a Page is what the API description makes of an answer. Each page goes this way:
//
//  1. Client.Pages calls API.First once: a position becomes the first question.
//  2. Client.Ask puts the question, and retries what is worth it. If a page is too large for a body, it asks for half as many
//     records (size.go). The steps that follow are one try.
//  3. API.Doors names the doors that are open to the question; it may fetch a token first.
//  4. Pacer.Take (package quota) waits until one of them has a free slot, the preferred one first, and takes it.
//  5. API.Request builds the request for that door. From here on the slot is accounted for exactly once: as sent and observed, or
//     as returned.
//  6. Client.roundTrip sends the request and reads the answer to its clean end (answer.go). A body that is cut, stalled or
//     oversized is never taken for a page. Connections are made in transport.go, which also says why no request is sent twice.
//  7. API.Quota says what the answer means for the quota. After a refusal, the question goes back to step 3.
//  8. API.Page decodes the body (package decode) or classifies the fault. Its error says what to do next: try again, put the
//     question again at once, ask for a smaller page, or give up the cursor, the shard or the run.
//  9. A large page is cut into pieces, so that no batch of the database has to hold all of it.
//
// Then read client.go (configuration, and what is counted), secret.go (how keys and tokens stay out of errors and logs), and
// package datasync.
//
// # Errors
//
// Faults are classified where they arise, and nowhere else: *shard.TransientError passes, *shard.StuckError passes unless it comes
// again and again, shard.ErrCursorDead costs the cursor, *shard.StopError ends the run, and any other error fails the shard.
//
// # Subpackages
//
// Package quota paces requests, decode turns records into events, datasync describes the API, and apisim plays it in tests and in
// the demo.
package fetch
