// Package apisim simulates the DataSync Analytics API as it was observed: its endpoints, bodies, headers, errors, limits, cursors,
// tokens, cache and latency. It is the other half of every proof in this project, so it shares no code with the program that it
// tests.
//
// New makes an http.Handler of a Config. Every fact that is disputed is a field of the Config, whose zero value is the
// recommended answer; Profile gives the usual starting points:
//
//   - challenge: the real limits, latency and lifetimes
//   - demo: the same, ten times faster
//   - unlimited: no limits, no latency, no cache; pages as fast as the machine can
//
// # What is disputed, and which field decides it
//
// Reports about the real API disagree (api.md, section 8). The zero value is the most plausible answer.
//
//	page cap                   PageCap                 5000; 100000 has been claimed
//	body shape                 Flat                    nested; flat in the task's documents
//	what a limit counts        Algorithm               SlidingAll; SlidingAccepted, FixedWindow
//	a key in the URL           QueryLimit              5 in the profiles, QuerySeparate for a bucket of its own
//	a HIT of the cache         FreeHits                counts
//	the stream's limit         Feed, FeedShared        50 in 60 s in the profiles; none, 40, 60, 200 in 300 s, the list's
//	when to come back          RetryAfter              in header and body; either, as a date, nowhere
//	where since, until work    Window                  the feed; both, neither
//	their own millisecond      SinceExclusive, UntilExclusive   included
//	expired cursor             ExpiredAs502            400
//	unreadable cursor          CursorFault             400; 502, ignored
//	cursor older than all      Teapot                  an empty page; 418
//	forged cursors             Opaque                  accepted; cursors that a client can't make
//	stream access              Gate                    a browser's User-Agent; with Origin, with cookie, never
//	/internal/stats            OpenStats               requires the key
//	bulk with several ids      BulkWorks               500
//	latency                    Latency                 3.0 to 3.7 s a page in the challenge; Scale shortens or stretches it
//	compression                Gzip                    none
//	key life                   KeyLife, KeyRevokedAfter   for ever; 90 minutes, 3 hours
//	meta.total                 TotalError              exact; 3 more
//	chaos                      Faults, MalformedShare, WrongShare   none
//
// Cases that were not recorded are answered like similar ones: 401 in the common error envelope; a limit that is not a number,
// and since and until that are not epoch milliseconds, as if they were absent.
//
// # Data
//
// The events are those of a Data set, in which everything about event i is a pure function of (seed, i): its id by a keyed
// permutation that can be read backwards, its time by a handful of segments, its session and the rest by hashes. So a page, a
// cursor's place, an event by its id, and the count and the hash of any window are known without a list, and 30,000,000
// events need no more memory than one. Data.Truth says what a correct reader must have stored, and TruthSQL reads from a database what
// was stored; the two answers are equal texts. Data.MalformedRecord is a record that must not have become a row.
//
// # Growing
//
// With Config.Live events go on after Config.Newest as the clock does, at a steady rate, and some are served only some time
// after their timestamp. The part that is visible at an instant is a View, a pure function of the Config and that instant:
// another process with the same Config serves the same, and Data.At(t).Truth says what a correct reader has stored after reading
// everything at t. An event that was visible stays visible. A Newest in the past makes a gap. A page is of the instant at which its request is
// answered, before its latency; in the cache it stays as it was, meta.total too. The clock is time.Now, which
// testing/synctest drives.
//
// # Faults
//
// Config.Faults draws faults for a share of the requests; Server.Script and Server.Control place them where a test needs them:
//
//	server.Script(apisim.Feed, apisim.Status(502), apisim.CutBody(0.5), apisim.Behave(), apisim.EarlyEnd())
//
// Faults of the content (NullBody, Truncated, EarlyEnd, Duplicates) are made before the cache and are repeated by it, like
// the real ones; those of the status or of the connection end with their request. A request meets, in this order: the
// key, the limit, the faults, the stream's token, the cache, the parameters, the latency.
//
// # Requests
//
// Server.Counts and Server.Requests record the requests, so that a test can check that a client keeps to the API's limits.
package apisim
