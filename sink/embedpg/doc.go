// Package embedpg gives every checkout a PostgreSQL server of its own, with nothing set up before: [Start] finds the server's
// programs (or, as root, installs them), makes a cluster on first use, and starts it.
//
// The server outlives the program that started it. It runs in a session of its own, so Ctrl-C does not reach it, and the next
// program adopts it. It listens on 127.0.0.1 only, on a free port, behind a random password; both are kept in one 0600 file in
// libpq's own format, so that psql can use it too.
//
// # One directory
//
// A server lives in one directory, its home: .sluice/pg in the checkout. PostgreSQL refuses to run as root, and the system user
// that runs it instead cannot enter root's home directory; so as root the home is /var/lib/sluice/<hash of the checkout>, and
// .sluice/pg is a symbolic link to it.
//
//	data/        the cluster, made by initdb; belongs to the user that runs the server
//	sluice.conf  our settings, written anew at every start and included by the cluster's own file
//	pgpass       127.0.0.1:port:*:sluice:password
//	database     the name of the database of the last run
//	log, log.1   the server's log, and that of the start before
//	lock         locked while a process starts or stops the server
//	alive        locked by the server itself
//
// # Is it alive?
//
// A pid in a file is no proof: it may belong to another process by now, to a zombie, or to a postmaster whose orphaned children
// still write. So the server is started with an open, locked file (alive) that all its processes inherit. The kernel drops the
// lock with the last of them, also after kill -9: the server is alive exactly while the lock cannot be taken.
//
// The package knows nothing of Sluice's tables. Servers for tests are in sink/pgtest.
package embedpg
