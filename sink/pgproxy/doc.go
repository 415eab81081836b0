// Package pgproxy stands between a program under test and a PostgreSQL server, and breaks the line at the very places where it
// matters: before a COMMIT has reached the server, while it is on its way, after it was done but before the client has heard of
// it, in the middle of a COPY. Each break happens once, at the next occasion.
//
// It understands just enough of the protocol for that: every message is a type byte, a length and a body, in both directions
// (PostgreSQL manual, "Frontend/Backend Protocol"). It offers no encryption.
package pgproxy
