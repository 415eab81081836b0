package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Disk is a database on a disk so small that a test can fill it: the tables, not the write-ahead log.
type Disk struct {
	*Server
	Real bool // a file system of its own; otherwise the test's log says so, and something stands for it

	mounted string
}

// diskDatabase is the name of the database on a Disk.
const diskDatabase = "small"

// SmallDisk returns a database on a small disk, on a server of the test's own. Mounting needs root and a kernel that allows it.
// If it is impossible, the server raises the same error (53100) from a trigger once the disk is "full": the same transaction is
// aborted at the same place, but no file stops growing.
func SmallDisk(tb testing.TB, megabytes int) *Disk {
	tb.Helper()
	d := &Disk{Server: NewServer(tb, Options{})}
	d.mounted = filepath.Join(d.dir, "disk")
	must(tb, os.Mkdir(d.mounted, 0o755))
	if d.Real = mount(tb, d.mounted, megabytes); !d.Real {
		d.exec("postgres", `create database `+diskDatabase)
		return d
	}
	tb.Cleanup(func() { // before the server is removed, which has the files open and must therefore end first
		if err := d.Crash(context.Background()); err != nil {
			tb.Logf("%v", err)
		}
		umount(tb, d.mounted)
	})
	tables := filepath.Join(d.mounted, "tables")
	must(tb, os.Mkdir(tables, 0o700))
	d.makeDatabase(tables)
	return d
}

// SmallServer returns a server with its write-ahead log on a small disk, and its tables elsewhere. A full one takes the server
// down (PANIC), at each start too. If mounting is impossible, FillServer crashes the server.
func SmallServer(tb testing.TB, megabytes int) *Disk {
	tb.Helper()
	home, tables := newHome(tb), newHome(tb)
	d := &Disk{mounted: home, Real: mount(tb, home, megabytes)}
	tb.Cleanup(func() { _ = os.RemoveAll(tables) })
	if d.Real {
		tb.Cleanup(func() { umount(tb, home); _ = os.Remove(home) })
	}
	d.Server = newServerIn(tb, home, Options{Settings: []string{"max_wal_size = 32MB", "min_wal_size = 32MB", "shared_buffers = 16MB"}})
	d.makeDatabase(tables)
	return d
}

// makeDatabase makes the database with its tables in a directory.
func (d *Disk) makeDatabase(dir string) {
	d.tb.Helper()
	must(d.tb, chown(dir, d.data()))
	d.exec("postgres", fmt.Sprintf(`create tablespace tables location '%s'`, dir))
	d.exec("postgres", `create database `+diskDatabase+` tablespace tables`)
}

func mount(tb testing.TB, dir string, megabytes int) bool {
	size := fmt.Sprintf("size=%dm,mode=0755", megabytes)
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", size, "tmpfs", dir).CombinedOutput()
	if err != nil {
		tb.Logf("no small disk here (mount: %v: %s): the server only behaves as if it were full", err, out)
	}
	return err == nil
}

func umount(tb testing.TB, dir string) {
	if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
		tb.Logf("umount %s: %v: %s", dir, err, out)
	}
}

// Database is the URL of the database on the disk.
func (d *Disk) Database() string { return d.URL(diskDatabase) }

func (d *Disk) ballast() string { return filepath.Join(d.mounted, "ballast") }

// Fill leaves that many kilobytes free. The tables of the program must exist by now.
func (d *Disk) Fill(leave int) {
	d.tb.Helper()
	if !d.Real {
		d.exec(diskDatabase, raiseDiskFull)
		return
	}
	fill := fmt.Sprintf("free=$(df -k --output=avail %[1]s | tail -1); head -c $(((free-%[2]d)*1024)) /dev/zero >%[3]s", d.mounted, leave, d.ballast())
	out, err := exec.Command("sh", "-c", fill).CombinedOutput()
	if _, missing := os.Stat(d.ballast()); missing != nil {
		d.tb.Fatalf("fill the disk: %v: %s", err, out) // any other failure is a disk that others have filled meanwhile
	}
}

// Free makes room again.
func (d *Disk) Free() {
	d.tb.Helper()
	if !d.Real {
		d.exec(diskDatabase, `drop trigger disk on public.ingested_events`)
		return
	}
	must(d.tb, os.Remove(d.ballast()))
}

const raiseDiskFull = `
create or replace function public.disk() returns trigger language plpgsql as $$
begin raise 'could not extend file "base/1/2": No space left on device' using errcode = '53100', hint = 'Check free disk space.'; end $$;
create trigger disk before insert on public.ingested_events for each statement execute function public.disk()`

func (d *Disk) exec(database, sql string) {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.URL(database))
	must(d.tb, err)
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		d.tb.Fatalf("%s: %v", sql, err)
	}
}

// FillServer leaves no room for the write-ahead log.
func (d *Disk) FillServer() {
	d.tb.Helper()
	if !d.Real {
		must(d.tb, d.Crash(context.Background()))
		return
	}
	d.Fill(0)
	d.useUpLog()
}

// useUpLog writes log until there is no file for more. That is the end of the server, and of this session.
func (d *Disk) useUpLog() {
	d.tb.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, d.URL("postgres"))
	if err != nil {
		return // others have used it up
	}
	defer conn.Close(ctx)
	for range 100 {
		if _, err := conn.Exec(ctx, `select pg_logical_emit_message(false, '', ''), pg_switch_wal()`); err != nil {
			return
		}
	}
	d.tb.Fatalf("the server took 100 files of log on a full disk")
}

// FreeServer makes room, and starts the server if it is down.
func (d *Disk) FreeServer() {
	d.tb.Helper()
	if d.Real {
		d.Free()
	}
	must(d.tb, d.Start(context.Background()))
}
