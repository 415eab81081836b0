package embedpg

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

// Disk is a database on a disk so small that a test can fill it: the tables, not the write-ahead log.
type Disk struct {
	*Server
	Real bool // a file system of its own; otherwise a trigger says what a full one would

	tb  T
	dir string
}

// diskDatabase is the name of the database on a Disk.
const diskDatabase = "small"

// SmallDisk returns a database on a disk of so many megabytes, on a server of the test's own. Mounting takes root and a
// kernel that allows it. Where it is not possible, the test's log says so, and once the disk is "full", the server raises the
// same error (53100) from a trigger: the same transaction is aborted at the same place, but no file stops growing.
func SmallDisk(tb T, megabytes int) *Disk {
	tb.Helper()
	d := &Disk{Server: TestServer(tb, TestOptions{}), tb: tb}
	d.dir = filepath.Join(string(d.home), "disk")
	err := d.mount(megabytes)
	d.Real = err == nil
	if err != nil {
		tb.Logf("no small disk here (%v): a trigger stands for it", err)
		d.exec("postgres", `create database `+diskDatabase)
		return d
	}
	d.exec("postgres", fmt.Sprintf(`create tablespace disk location '%s'`, filepath.Join(d.dir, "tables")))
	d.exec("postgres", `create database `+diskDatabase+` tablespace disk`)
	return d
}

func (d *Disk) mount(megabytes int) error {
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		return err
	}
	size := fmt.Sprintf("size=%dm,mode=0755", megabytes)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", size, "tmpfs", d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	d.tb.Cleanup(d.unmount)
	tables := filepath.Join(d.dir, "tables")
	if err := os.Mkdir(tables, 0o700); err != nil {
		return err
	}
	uid, gid, err := owner(d.home.data())
	if err != nil {
		return err
	}
	return os.Chown(tables, int(uid), int(gid))
}

// unmount comes before the server is removed; it has the files open, and so it must be stopped first.
func (d *Disk) unmount() {
	if err := d.Crash(context.Background()); err != nil {
		d.tb.Logf("%v", err)
	}
	d.umount()
}

func (d *Disk) umount() {
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		d.tb.Logf("umount %s: %v: %s", d.dir, err, out)
	}
}

// Database is the URL of the database on the disk.
func (d *Disk) Database() string { return d.URL(diskDatabase) }

func (d *Disk) ballast() string { return filepath.Join(d.dir, "ballast") }

// Fill leaves so many kilobytes of the disk. The tables of the program must be there by now.
func (d *Disk) Fill(leave int) {
	d.tb.Helper()
	if !d.Real {
		d.exec(diskDatabase, raiseDiskFull)
		return
	}
	fill := fmt.Sprintf("free=$(df -k --output=avail %[1]s | tail -1); head -c $(((free-%[2]d)*1024)) /dev/zero >%[3]s", d.dir, leave, d.ballast())
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
	if err := os.Remove(d.ballast()); err != nil {
		d.tb.Fatalf("make room: %v", err)
	}
}

const raiseDiskFull = `
create or replace function public.disk() returns trigger language plpgsql as $$
begin raise 'could not extend file "base/1/2": No space left on device' using errcode = '53100', hint = 'Check free disk space.'; end $$;
create trigger disk before insert on public.ingested_events for each statement execute function public.disk()`

func (d *Disk) exec(database, sql string) {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := d.connect(ctx, database)
	if err != nil {
		d.tb.Fatalf("connect to %s: %v", database, err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		d.tb.Fatalf("%s: %v", sql, err)
	}
}

// SmallServer returns a server with its write-ahead log on a disk of so many megabytes, and its tables elsewhere. A full one
// takes the server down (PANIC), at each start too. Where mounting is not possible the test's log says so, and FillServer
// crashes the server.
func SmallServer(tb T, megabytes int) *Disk {
	tb.Helper()
	home, err := testHome()
	if err != nil {
		tb.Fatalf("make a directory for a test server: %v", err)
	}
	d := &Disk{tb: tb, dir: home, Real: true}
	size := fmt.Sprintf("size=%dm,mode=0755", megabytes)
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", size, "tmpfs", home).CombinedOutput(); err != nil {
		tb.Logf("no small disk here (mount: %v: %s): the server is crashed and started instead", err, out)
		d.Real = false
	} else {
		tb.Cleanup(func() { d.umount(); _ = os.Remove(home) })
	}
	d.Server = testServerIn(tb, home, TestOptions{Settings: []string{"max_wal_size = 32MB", "min_wal_size = 32MB", "shared_buffers = 16MB"}})
	tables := d.roomyDir()
	d.exec("postgres", fmt.Sprintf(`create tablespace roomy location '%s'`, tables))
	d.exec("postgres", `create database `+diskDatabase+` tablespace roomy`)
	return d
}

// roomyDir is a directory of the server's account that is not on the small disk.
func (d *Disk) roomyDir() string {
	dir, err := testHome()
	if err != nil {
		d.tb.Fatalf("make a directory for tables: %v", err)
	}
	d.tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	uid, gid, err := owner(d.home.data())
	if err == nil {
		err = os.Chown(dir, int(uid), int(gid))
	}
	if err != nil {
		d.tb.Fatalf("make a directory for tables: %v", err)
	}
	return dir
}

// FillServer leaves nothing for the write-ahead log.
func (d *Disk) FillServer() {
	d.tb.Helper()
	if d.Real {
		d.Fill(0)
		d.useUpLog()
		return
	}
	if err := d.Crash(context.Background()); err != nil {
		d.tb.Fatalf("crash the server: %v", err)
	}
}

// useUpLog writes log until there is no file for more. That is the end of the server, and of this session.
func (d *Disk) useUpLog() {
	d.tb.Helper()
	ctx := context.Background()
	conn, err := d.connect(ctx, "postgres")
	if err != nil {
		return // others were faster
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
	if err := d.Start(context.Background()); err != nil {
		d.tb.Fatalf("start the server: %v", err)
	}
}
