package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/migrations"
	"sluice/sink/pgtest"
)

// database is a migrated database, with a superuser's session.
type database struct {
	url  string
	conn *pgx.Conn
}

func migrated(t *testing.T, url string) *database {
	t.Helper()
	d := &database{url, connect(t, url)}
	must(t, migrations.Up(t.Context(), d.conn.Config(), slog.New(slog.NewTextHandler(t.Output(), nil))))
	return d
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func (d *database) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := d.conn.Exec(t.Context(), sql)
	must(t, err)
}

func (d *database) name() string { return d.conn.Config().Database }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func diagnose(t *testing.T, url string) map[string]Finding {
	t.Helper()
	byName := map[string]Finding{}
	config, err := pgx.ParseConfig(url)
	must(t, err)
	config.RuntimeParams["search_path"] = "public" // as in each session of a run
	conn, err := pgx.ConnectConfig(t.Context(), config)
	must(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, f := range Diagnose(t.Context(), conn, 6) {
		byName[f.Name] = f
		if strings.HasPrefix(f.Detail, "could not be checked") {
			t.Errorf("%s: %s", f.Name, f.Detail)
		}
		if f.Level != OK && f.Hint == "" {
			t.Errorf("%s: %s, but no hint", f.Name, f.Detail)
		}
	}
	return byName
}

func TestDoctorOnASoundDatabase(t *testing.T) {
	for name, url := range map[string]string{"empty": pgtest.Database(t), "migrated": migrated(t, pgtest.Database(t)).url} {
		t.Run(name, func(t *testing.T) {
			found := diagnose(t, url)
			equal(t, "findings", len(found), 20)
			for _, f := range found {
				if f.Level == Fail {
					t.Errorf("%s: %s", f.Name, f.Detail)
				}
			}
		})
	}
}

func TestDoctorFinds(t *testing.T) {
	for _, test := range []struct {
		probe, setup string
		level        Level
	}{
		{"triggers", `create function f() returns trigger language plpgsql as 'begin return new; end'; create trigger mine before insert on ingested_events for each row execute function f()`, Warn},
		{"logged tables", `alter table dead_letters set unlogged`, Fail},
		{"logged tables", `alter table ingestion_rounds set unlogged`, Fail}, // this table was forgotten once
		{"rules", `create rule mine as on insert to ingested_events do also notify arrived`, Fail},
		{"tables", `drop table api_quotas`, Fail},
		{"schema", `insert into sluice_migrations (version_id, is_applied) values (9999, true)`, Fail},
		{"tables", `alter table ingestion_shards drop column cursor`, Fail},
		{"tables", `alter table dead_letters rename to ours; create table dead_letters (id bigint, letter text)`, Fail},
		{"names", `drop table sluice_migrations; create table sluice_migrations (id bigint)`, Fail},
		{"names", `drop table sluice_migrations`, Fail},
		{"events table", `alter table ingested_events drop column browser`, Fail},
		{"row security", `alter table ingested_events enable row level security, force row level security`, Fail},
		{"writable", `do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$`, Fail},
		{"connections", `do $$ begin execute format('alter database %I connection limit 2', current_database()); end $$`, Fail},
	} {
		t.Run(test.probe, func(t *testing.T) {
			t.Parallel()
			d := migrated(t, pgtest.Database(t))
			d.exec(t, test.setup)
			role := d.ordinaryRole(t)
			f := diagnose(t, role)[test.probe]
			equal(t, test.probe, f.Level, test.level)
		})
	}
}

// Each missing privilege is named, and the hint fixes it.
func TestDoctorFindsMissingPrivileges(t *testing.T) {
	d := migrated(t, pgtest.Database(t))
	url := d.ordinaryRole(t)
	equal(t, "all granted", diagnose(t, url)["privileges"].Level, OK)
	for _, privilege := range append(neededPrivileges(), "usage on schema public", "temporary on database "+d.name()) {
		d.exec(t, `revoke `+privilege+` from public`)
		f := diagnose(t, url)["privileges"]
		equal(t, privilege+" revoked", f.Level, Fail)
		want := strings.Replace(privilege, "database ", `database "`, 1)
		if !strings.Contains(want, "schema") && !strings.Contains(want, "database") {
			want = strings.Replace(want, " on ", " on public.", 1)
		}
		if !strings.Contains(f.Hint, "grant "+want) {
			t.Errorf("%q is not granted by %q", privilege, f.Hint)
		}
		for _, grant := range strings.SplitAfter(f.Hint[strings.Index(f.Hint, "grant "):], ";") {
			d.exec(t, grant)
		}
		equal(t, privilege+" granted again", diagnose(t, url)["privileges"].Level, OK)
	}
}

func TestDoctorFindsThatTheRoleMayNotMigrate(t *testing.T) {
	d := migrated(t, pgtest.Database(t))
	url := d.ordinaryRole(t)
	d.exec(t, `delete from sluice_migrations; revoke create on schema public from public`)
	f := diagnose(t, url)["privileges"]
	equal(t, "level", f.Level, Fail)
	if !strings.Contains(f.Hint, "sluice db migrate") {
		t.Error(f.Hint)
	}
}

// On the server that tests share fsync is off: here is one as in production.
func TestDoctorFindsWhatIsNotDurable(t *testing.T) {
	server := pgtest.NewServer(t, pgtest.Options{Sync: true})
	d := migrated(t, server.URL("postgres"))
	equal(t, "as in production", diagnose(t, d.url)["durability"].Level, OK)
	for setting, words := range map[string]string{"synchronous_commit": "synchronous_commit off", "fsync": "fsync false", "full_page_writes": "full_page_writes false"} {
		d.exec(t, `alter system set `+setting+` = off`)
		d.exec(t, `select pg_reload_conf()`)
		f := diagnose(t, d.url)["durability"]
		for f.Level == OK && t.Context().Err() == nil { // a reload takes its time
			f = diagnose(t, d.url)["durability"]
		}
		equal(t, setting, f.Level, Warn)
		if !strings.Contains(f.Detail, words) {
			t.Errorf("%s off: %s", setting, f.Detail)
		}
		d.exec(t, `alter system reset `+setting)
		d.exec(t, `select pg_reload_conf()`)
		for f.Level != OK && t.Context().Err() == nil {
			f = diagnose(t, d.url)["durability"]
		}
	}
}

func TestDoctorJudgesClockAndCommits(t *testing.T) {
	for offset, want := range map[time.Duration]Level{0: OK, -4 * time.Second: OK, 6 * time.Second: Warn, -time.Hour: Warn} {
		f := judgeClock(offset)
		equal(t, offset.String(), f.Level, want)
		equal(t, offset.String()+": a hint", f.Hint != "", want != OK)
	}
	for took, want := range map[time.Duration]Level{time.Millisecond: OK, 150 * time.Millisecond: Warn} {
		f := judgeCommit(took)
		equal(t, took.String(), f.Level, want)
		equal(t, took.String()+": a hint", f.Hint != "", want != OK)
	}
	f := diagnose(t, pgtest.Database(t))["commit"]
	if !strings.HasPrefix(f.Detail, "takes ") {
		t.Error(f.Detail)
	}
}

func TestDoctorFindsAnotherEncoding(t *testing.T) {
	d := migrated(t, pgtest.Database(t))
	name := d.name() + "_latin"
	d.exec(t, `create database `+name+` encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0`)
	t.Cleanup(func() {
		_, err := d.conn.Exec(context.WithoutCancel(t.Context()), `drop database `+name)
		must(t, err)
	})
	equal(t, "level", diagnose(t, strings.Replace(d.url, d.name(), name, 1))["encoding"].Level, Fail)
}

// ordinaryRole returns the URL of a role that is not the tables' owner and no superuser, and may do what a run needs.
func (d *database) ordinaryRole(t *testing.T) string {
	t.Helper()
	role := "r" + strings.ReplaceAll(uuid.NewString(), "-", "")
	d.exec(t, fmt.Sprintf(`create role %s login password 'CANARY'; grant select, insert, update, delete on all tables in schema public to public`, role))
	t.Cleanup(func() {
		if _, err := d.conn.Exec(context.WithoutCancel(t.Context()), `drop owned by `+role+`; drop role `+role); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(d.url)
	must(t, err)
	u.User = url.UserPassword(role, "CANARY")
	return u.String()
}

// The doctor looks at the disk that the tables are on, not only at that of the server.
func TestDoctorFindsASmallDiskOfTheTables(t *testing.T) {
	disk := pgtest.SmallDisk(t, 48)
	f := diagnose(t, disk.Database())["disk"]
	if !disk.Real {
		t.Logf("the doctor says %q", f.Detail)
		return
	}
	equal(t, "level", f.Level, Warn)
	if !strings.Contains(f.Detail, "0.0 GiB free for") || !strings.Contains(f.Detail, "/disk/tables") {
		t.Error(f.Detail)
	}
}

// A run on such a server would wait without end, and so would the doctor.
func TestDoctorFindsAStandbyThatIsAway(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, pgtest.Options{Settings: []string{"wal_level = replica", "max_wal_senders = 2", "synchronous_standby_names = 'nobody'", "synchronous_commit = on"}})
	found := diagnose(t, server.URL("postgres"))
	if f := found["standby"]; f.Level != Fail || !strings.Contains(f.Detail, "SyncRep") {
		t.Errorf("%+v", f)
	}
	if f := found["commit"]; f.Level != Fail || !strings.Contains(f.Hint, "SyncRep") {
		t.Errorf("%+v", f)
	}
}
