package apisim

// Algorithm is how requests are counted against a limit.
type Algorithm string

// The algorithms that have been conjectured. Only SlidingAll explains the recorded waits (api.md, 4.2).
const (
	SlidingAll      Algorithm = "sliding"          // a log of the last window; rejected requests are in it too
	SlidingAccepted Algorithm = "sliding-accepted" // rejected requests are free
	FixedWindow     Algorithm = "fixed"            // a count from the first request, cleared at the window's end
)

// RetryAfter is how a 429 says when to come back.
type RetryAfter string

// Where a 429 says it.
const (
	RetryBoth   RetryAfter = "both"   // in the header and in rateLimit.retryAfter of the body
	RetryHeader RetryAfter = "header" // in the header only
	RetryBody   RetryAfter = "body"   // in the body only
	RetryDate   RetryAfter = "date"   // in the header only, as an HTTP date
	RetryNone   RetryAfter = "none"   // nowhere
)

// Window is where since and until work.
type Window string

// The endpoints that take since and until; the others ignore them.
const (
	WindowFeed Window = "feed"
	WindowBoth Window = "both"
	WindowNone Window = "none"
)

// BadCursor is the answer to a cursor that cannot be read.
type BadCursor string

// The answers to such a cursor.
const (
	BadCursor400    BadCursor = "400"
	BadCursor502    BadCursor = "502"
	BadCursorIgnore BadCursor = "ignore" // the first page, as if there were no cursor
)

// Gate is what stream access asks of a caller, beside the key.
type Gate string

// The gates that have been conjectured, and one that is shut.
const (
	GateBrowser Gate = "browser" // a User-Agent with Mozilla/
	GateOrigin  Gate = "origin"  // that, and an Origin header
	GateCookie  Gate = "cookie"  // that, and the cookie dashboard_api_key
	GateShut    Gate = "shut"    // nobody comes in: 403 DASHBOARD_REQUIRED
)
