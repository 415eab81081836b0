package sink

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/coordinator/ledger"
	"sluice/sink/doctor"
	"sluice/sink/pgtest"
)

func TestThePasswordIsInNoError(t *testing.T) {
	proxy := pgtest.NewProxy(t, pgtest.Database(t))
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
			t.Errorf("the error contains the password: %v", err)
		}
		for _, f := range Diagnose(t.Context(), Config{URL: address}) {
			if strings.Contains(f.Detail+f.Hint, "CANARY") {
				t.Errorf("the doctor shows the password: %+v", f)
			}
		}
	}
}

func TestSessionSettings(t *testing.T) {
	b := newBench(t)
	for name, want := range map[string]string{
		"application_name": b.name(), "lock_timeout": "5s", "statement_timeout": "30s", "search_path": `"public"`,
		"idle_in_transaction_session_timeout": "15s", "tcp_keepalives_idle": "10", "tcp_user_timeout": "20s",
	} {
		var got string
		must(t, b.pool.QueryRow(t.Context(), `select current_setting($1)`, name).Scan(&got))
		if name == "tcp_user_timeout" {
			got = strings.Replace(got, "20000", "20s", 1) // as the kernel shows it
		}
		equal(t, name, got, want)
	}
}

func TestApplicationNamesStayApartAndShort(t *testing.T) {
	seen := map[string]string{}
	long := strings.Repeat("job", 30)
	for _, job := range []string{"default", "a/b", "a_b", "день", "ночь", long, long + "x", "a b", strings.Repeat("я", 50)} {
		config := Config{Job: job}.withDefaults()
		name := config.applicationName()
		if len(name) > 63 {
			t.Errorf("%q has %d bytes, PostgreSQL would cut it", name, len(name))
		}
		if prefix := config.jobPrefix(); seen[prefix] != "" {
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

// TestPoolers: one that gives every transaction another session is refused, and it is said where the server is. In session mode a run works
// as without one: with its settings, alone on its job, and each COMMIT is watched in the session that makes it.
func TestPoolers(t *testing.T) {
	direct := pgtest.Database(t)
	t.Run("transaction", func(t *testing.T) {
		url := pgtest.Bouncer(t, direct, "transaction")
		_, err := Open(t.Context(), Config{URL: url})
		var why *ConnectError
		if !errors.Is(err, doctor.ErrPooler) || !errors.As(err, &why) || !strings.Contains(why.Why, "PostgreSQL itself is at 127.0.0.1, port ") ||
			why.Hint != doctor.PoolerHint {
			t.Errorf("got %v, want ErrPooler, and where the server is", err)
		}
		if f := Diagnose(t.Context(), Config{URL: url}); !slices.ContainsFunc(f, func(f doctor.Finding) bool {
			return f.Level == doctor.Fail && strings.Contains(f.Detail, "PostgreSQL itself is at") && f.Hint == doctor.PoolerHint
		}) {
			t.Errorf("the doctor says %+v", f)
		}
	})
	t.Run("session", func(t *testing.T) {
		config := Config{URL: pgtest.Bouncer(t, direct, "session"), Schema: `a "schema" of 'ours'`}
		p, err := Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if err := p.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		lock, err := p.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close(t.Context())
		other, err := Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := (&jobLock{p: other}).take(t.Context()); !errors.Is(err, ledger.ErrLocked) {
			t.Errorf("a second run got the lock: %v", err)
		}
		err = p.pool.AcquireFunc(t.Context(), func(conn *pgxpool.Conn) error {
			for name, want := range p.config.session() {
				var got string
				if err := conn.QueryRow(t.Context(), "select current_setting($1)", name).Scan(&got); err != nil || got != want && !strings.HasPrefix(name, "tcp_") {
					t.Errorf("%s is %q, want %q (%v)", name, got, want, err)
				}
			}
			var pid uint32
			if err := conn.QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pid); err != nil || pid != serverPID(conn.Conn()) {
				t.Errorf("the session is that of process %d, not %d (%v)", pid, serverPID(conn.Conn()), err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if f := Diagnose(t.Context(), config); !slices.ContainsFunc(f, func(f doctor.Finding) bool {
			return f.Name == "pooler" && f.Level == doctor.OK && strings.Contains(f.Detail, "in session mode")
		}) {
			t.Errorf("the doctor says %+v", f)
		}
	})
}
