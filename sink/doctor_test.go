package sink

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/sink/embedpg"
	"sluice/sink/pgproxy"
)

func diagnose(t *testing.T, url string) map[string]Finding {
	t.Helper()
	byName := map[string]Finding{}
	for _, f := range Diagnose(t.Context(), Config{URL: url}) {
		byName[f.Name] = f
		if strings.HasPrefix(f.Detail, "could not be asked") {
			t.Errorf("%s: %s", f.Name, f.Detail)
		}
		if f.Level != OK && f.Hint == "" {
			t.Errorf("%s: %s, but no hint", f.Name, f.Detail)
		}
	}
	return byName
}

func TestDoctorOnASoundDatabase(t *testing.T) {
	for name, url := range map[string]string{"empty": embedpg.Test(t), "migrated": newBench(t).url} {
		t.Run(name, func(t *testing.T) {
			for _, f := range diagnose(t, url) {
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
		{"rules", `create rule mine as on insert to ingested_events do also notify arrived`, Fail},
		{"tables", `drop table api_quotas`, Fail},
		{"schema", `insert into sluice_migrations (version_id, is_applied) values (9999, true)`, Fail},
		{"events table", `alter table ingested_events drop column browser`, Fail},
		{"row security", `alter table ingested_events enable row level security, force row level security`, Fail},
		{"writable", `do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); end $$`, Fail},
		{"connections", `do $$ begin execute format('alter database %I connection limit 2', current_database()); end $$`, Fail},
	} {
		t.Run(test.probe, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			_, err := b.pool.Exec(t.Context(), test.setup)
			must(t, err)
			role := b.ordinaryRole(t)
			f := diagnose(t, role)[test.probe]
			equal(t, test.probe, f.Level, test.level)
		})
	}
}

// Each privilege that a run needs is named where it is missing, and what the hint says mends it.
func TestDoctorFindsMissingPrivileges(t *testing.T) {
	b := newBench(t)
	url := b.ordinaryRole(t)
	equal(t, "all granted", diagnose(t, url)["privileges"].Level, OK)
	for _, privilege := range append(granted(), "usage on schema public", "temporary on database "+b.pool.Config().ConnConfig.Database) {
		_, err := b.pool.Exec(t.Context(), `revoke `+privilege+` from public`)
		must(t, err)
		f := diagnose(t, url)["privileges"]
		equal(t, privilege+" revoked", f.Level, Fail)
		if !strings.Contains(f.Hint, "grant "+strings.Replace(privilege, "database ", `database "`, 1)) {
			t.Errorf("%q is not granted by %q", privilege, f.Hint)
		}
		for _, grant := range strings.SplitAfter(f.Hint[strings.Index(f.Hint, "grant "):], ";") {
			_, err = b.pool.Exec(t.Context(), grant)
			must(t, err)
		}
		equal(t, privilege+" granted again", diagnose(t, url)["privileges"].Level, OK)
	}
}

func TestDoctorFindsThatTheRoleMayNotMigrate(t *testing.T) {
	b := newBench(t)
	url := b.ordinaryRole(t)
	_, err := b.pool.Exec(t.Context(), `delete from sluice_migrations; revoke create on schema public from public`)
	must(t, err)
	f := diagnose(t, url)["privileges"]
	equal(t, "level", f.Level, Fail)
	if !strings.Contains(f.Hint, "sluice db migrate") {
		t.Error(f.Hint)
	}
}

// On the server that tests share fsync is off: here is one as in production.
func TestDoctorFindsWhatIsNotDurable(t *testing.T) {
	server := embedpg.TestServer(t, embedpg.TestOptions{Sync: true})
	b := newBenchAt(t, server.URL("postgres"))
	equal(t, "as in production", diagnose(t, b.url)["durability"].Level, OK)
	for setting, words := range map[string]string{"synchronous_commit": "synchronous_commit off", "fsync": "fsync false", "full_page_writes": "full_page_writes false"} {
		_, err := b.pool.Exec(t.Context(), `alter system set `+setting+` = off`)
		must(t, err)
		b.await(t, new(atomic.Bool), `select pg_reload_conf()::int`)
		f := diagnose(t, b.url)["durability"]
		for f.Level == OK && t.Context().Err() == nil { // a reload takes its time
			f = diagnose(t, b.url)["durability"]
		}
		equal(t, setting, f.Level, Warn)
		if !strings.Contains(f.Detail, words) {
			t.Errorf("%s off: %s", setting, f.Detail)
		}
		_, err = b.pool.Exec(t.Context(), `alter system reset `+setting)
		must(t, err)
		b.await(t, new(atomic.Bool), `select pg_reload_conf()::int`)
		for f.Level != OK && t.Context().Err() == nil {
			f = diagnose(t, b.url)["durability"]
		}
	}
}

func TestDoctorJudgesClockAndCommits(t *testing.T) {
	for offset, want := range map[time.Duration]Level{0: OK, -4 * time.Second: OK, 6 * time.Second: Warn, -time.Hour: Warn} {
		level, _, hint := judgeClock(offset)
		equal(t, offset.String(), level, want)
		equal(t, offset.String()+": a hint", hint != "", want != OK)
	}
	for took, want := range map[time.Duration]Level{time.Millisecond: OK, 150 * time.Millisecond: Warn} {
		level, _, hint := judgeCommit(took)
		equal(t, took.String(), level, want)
		equal(t, took.String()+": a hint", hint != "", want != OK)
	}
	f := diagnose(t, newBench(t).url)["commit"]
	if !strings.HasPrefix(f.Detail, "takes ") {
		t.Error(f.Detail)
	}
}

func TestDoctorFindsAnotherEncoding(t *testing.T) {
	b := newBench(t)
	name := b.pool.Config().ConnConfig.Database + "_latin"
	_, err := b.pool.Exec(t.Context(), `create database `+name+` encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0`)
	must(t, err)
	t.Cleanup(func() {
		_, err := b.pool.Exec(context.WithoutCancel(t.Context()), `drop database `+name)
		must(t, err)
	})
	equal(t, "level", diagnose(t, strings.Replace(b.url, b.pool.Config().ConnConfig.Database, name, 1))["encoding"].Level, Fail)
}

// ordinaryRole returns the URL of a role that is not the tables' owner and no superuser, and may do what a run needs.
func (b *bench) ordinaryRole(t *testing.T) string {
	t.Helper()
	role := "r" + strings.ReplaceAll(uuid.NewString(), "-", "")
	_, err := b.pool.Exec(t.Context(), fmt.Sprintf(`create role %s login password 'CANARY'; grant select, insert, update on all tables in schema public to public`, role))
	must(t, err)
	t.Cleanup(func() {
		if _, err := b.pool.Exec(context.WithoutCancel(t.Context()), `drop owned by `+role+`; drop role `+role); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(b.url)
	must(t, err)
	u.User = url.UserPassword(role, "CANARY")
	return u.String()
}

func TestThePasswordIsInNoError(t *testing.T) {
	proxy := pgproxy.Start(t, embedpg.Test(t))
	right, err := url.Parse(proxy.URL())
	must(t, err)
	wrong := *right
	wrong.User = url.UserPassword("sluice", "CANARY")
	nowhere := *right
	nowhere.Host, nowhere.User = "127.0.0.1:1", wrong.User
	for _, address := range []string{
		wrong.String(), nowhere.String(), "postgres://sluice:CANARY@127.0.0.1:port/x", "postgres://sluice:CANARY@[::1/x",
		"host=127.0.0.1 port=1 user=sluice password=CANARY", "postgres://sluice:CANARY@127.0.0.1/x?sslmode=perhaps",
	} {
		_, err := Open(t.Context(), Config{URL: address})
		if err == nil {
			t.Errorf("opened %s", address)
			continue
		}
		if strings.Contains(err.Error(), "CANARY") {
			t.Errorf("the error tells the password: %v", err)
		}
		for _, f := range Diagnose(t.Context(), Config{URL: address}) {
			if strings.Contains(f.Detail+f.Hint, "CANARY") {
				t.Errorf("the doctor tells the password: %+v", f)
			}
		}
	}
}

func TestSessionSettings(t *testing.T) {
	b := newBench(t)
	for name, want := range map[string]string{
		"application_name": b.name(), "lock_timeout": "5s", "statement_timeout": "30s", "search_path": "public",
		"idle_in_transaction_session_timeout": "15s", "tcp_keepalives_idle": "10", "tcp_user_timeout": "20s",
	} {
		var got string
		must(t, b.pool.QueryRow(t.Context(), `select current_setting($1)`, name).Scan(&got))
		if name == "tcp_user_timeout" {
			got = strings.Replace(got, "20000", "20s", 1) // as the kernel tells it
		}
		equal(t, name, got, want)
	}
}

func TestApplicationNamesStayApartAndShort(t *testing.T) {
	seen := map[string]string{}
	long := strings.Repeat("job", 30)
	for _, job := range []string{"default", "a/b", "a_b", "день", "ночь", long, long + "x", "a b", strings.Repeat("я", 50)} {
		name := Config{Job: job}.withDefaults().applicationName()
		if len(name) > 63 {
			t.Errorf("%q has %d bytes, PostgreSQL would cut it", name, len(name))
		}
		if prefix := jobPrefix(job); seen[prefix] != "" {
			t.Errorf("jobs %q and %q look the same", job, seen[prefix])
		} else {
			seen[prefix] = job
		}
	}
}

func TestConfigTellsAllItsFaults(t *testing.T) {
	err := Config{Writers: -1, Timeout: 1}.withDefaults().validate()
	for _, field := range []string{"URL", "Writers", "Timeout"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestAPoolerIsRefused(t *testing.T) {
	proxy := pgproxy.Start(t, embedpg.Test(t))
	proxy.PretendPID(4711)
	if _, err := Open(t.Context(), Config{URL: proxy.URL()}); !errors.Is(err, ErrPooler) {
		t.Errorf("got %v, want ErrPooler", err)
	}
}
