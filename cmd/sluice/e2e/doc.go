// Package e2e holds only tests: they run the command line, in this process or as a process of its own, against a real PostgreSQL and
// the simulator. The test of the packages' walls is here too, because it looks at all of them.
package e2e
