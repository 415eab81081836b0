// Package pgtest gives tests a real PostgreSQL, with nothing set up before. No production package imports it.
//
// [Database] returns the URL of an empty database on one server that all test processes of a user share; [NewServer] a server
// that a test may stop, crash and put back; [SmallDisk] and [SmallServer] a disk that a test may fill; [NewProxy] a proxy that
// breaks connections at the places where it matters.
//
// All servers end by themselves when no test uses them any more (watch.go): a test that is killed leaves nothing running.
package pgtest
