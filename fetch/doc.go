// Package fetch reads pages of events from an HTTP API: it sends requests within the API's quotas, survives faults of the network
// and of the API, and walks from page to page. It knows no particular API. What is particular to one is described by an
// implementation of the interface API; package datasync is the one that Sluice uses, and the package's example is one of sixty
// lines.
//
// # The way of one page
//
// A shard ranges over Client.Pages, which is a loop: ask for a page, yield it, and make the next question of its cursor. Read
// the files in the order in which a page passes them:
//
//   - api.go: the interface, and the words that it uses. A Question says how a page is asked for; a door is an endpoint with a quota of its
//     own; a Page is what the API description makes of an answer.
//
//   - pages.go: the loop, and everything about one page. Ask retries what is worth it. A try takes these steps:
//
//     1. API.Doors names the doors that are open to the question; it may fetch a token first.
//
//     2. Pacer.Take (package quota) waits until one of them has a free slot, the preferred one first, and takes it.
//
//     3. API.Request builds the request for that door. From here on the slot is accounted for exactly once: as sent and observed, or as
//     returned.
//
//     4. roundTrip sends it and reads the answer to its clean end. A cut, stalled or oversized body is never taken for a page.
//
//     5. API.Quota says what the answer means for the quota. After a refusal, the question goes back to the first step.
//
//     6. API.Page decodes the body (package decode) or classifies the fault. Its error says what to do next: try again, put the question again
//     at once, ask for a smaller page, or give up the cursor, the shard or the run.
//
//     7. A large page is cut into pieces, so that a batch of the database never has to hold all of it.
//
//   - size.go: how many records to ask for, and how large a body may be.
//
//   - answer.go: one exchange over HTTP, its timeouts and limits, and the usual meaning of statuses and headers.
//
//   - transport.go: connections. HTTP/1.1, TLS, the proxy, where the API's name may lead, and why no request is ever sent twice.
//
//   - secret.go: how keys and tokens are kept out of errors and logs.
//
//   - client.go: configuration, and what is counted.
//
// # Errors
//
// Faults are classified where they arise, and nowhere else: *shard.TransientError passes, *shard.StuckError passes unless it comes
// again and again, shard.ErrCursorDead costs the cursor, *shard.StopError ends the run, and any other error fails the shard.
//
// The subpackages: quota paces requests, decode turns records into events, datasync describes the API, apisim plays it in tests and
// in the demo.
package fetch
