// Package apisim simulates the DataSync Analytics API, as many people observed it: its endpoints, bodies, headers, errors,
// limits, cursors, tokens, cache and latency. It is the other half of every proof in this project, so it shares no code with
// what it proves.
//
// New makes an http.Handler of a Config. Every fact that is disputed is a field of the Config, whose zero value is the
// recommended answer; Profile gives the usual starting points:
//
//   - challenge: the real limits, latency and lifetimes
//   - demo: the same, ten times faster
//   - unlimited: no limits, no latency, no cache; pages as fast as the machine can
//
// # Data
//
// The events are those of a Data set, in which everything about event i is a pure function of (seed, i): its id by a keyed
// permutation that can be read backwards, its time by a handful of segments, its session and the rest by hashes. So a page, a
// cursor's place, an event by its id, and the count and the hash of any window are known without a list, and 30,000,000
// events need no more memory than one. Data.Truth says what a right reader must have stored, TruthSQL asks a database what
// was stored, and the two answers are equal texts. Data.MalformedRecords are the records that must not have become rows.
//
// # Faults
//
// Config.Faults draws faults for a share of the requests; Server.Script and Server.Control put them where a test wants them:
//
//	server.Script(apisim.Feed, apisim.Status(502), apisim.CutBody(0.5), apisim.Behave(), apisim.EarlyEnd())
//
// Faults of the content are made before the cache and are repeated by it, like the real ones.
//
// # What came in
//
// Server.Counts and Server.Requests tell what was asked, so that a test can hold a client to the API's limits.
package apisim
