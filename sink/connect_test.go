package sink

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sluice/sink/doctor"
	"sluice/sink/pgtest"
)

// TestWhyTheDatabaseIsNotReached: run and doctor say why in one line, with a hint, and never show the password.
func TestWhyTheDatabaseIsNotReached(t *testing.T) {
	good, err := url.Parse(pgtest.Database(t))
	must(t, err)
	for name, c := range map[string]struct {
		change    func(*url.URL)
		why, hint string
	}{
		"wrong password":   {func(u *url.URL) { u.User = url.UserPassword("nobody", "s3cret") }, "authentication failed", "correct user and password"},
		"unknown database": {func(u *url.URL) { u.Path = "/nosuch" }, `database "nosuch" does not exist`, "createdb"},
		"nothing there":    {func(u *url.URL) { u.Host = "127.0.0.1:1" }, "nothing listens at 127.0.0.1:1", "start PostgreSQL"},
		"no TLS":           {func(u *url.URL) { u.RawQuery = "sslmode=require" }, "speaks no TLS", "sslmode=disable"},
		"several hosts":    {func(u *url.URL) { u.Host = "127.0.0.1:1,127.0.0.1:2" }, "127.0.0.1:1, 127.0.0.1:2", "start PostgreSQL"},
		"unknown host":     {func(u *url.URL) { u.Host = "nosuch.invalid" }, `the host "nosuch.invalid" is not known`, "correct the host"},
	} {
		t.Run(name, func(t *testing.T) {
			u := *good
			c.change(&u)
			_, err := Open(t.Context(), Config{URL: u.String()})
			var unreached *ConnectError
			if !errors.As(err, &unreached) || !strings.Contains(err.Error(), c.why) || !strings.Contains(unreached.Hint, c.hint) {
				t.Fatalf("%v, want %q and the hint %q", err, c.why, c.hint)
			}
			if strings.ContainsAny(err.Error(), "\n\t") || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%q", err)
			}
			found := Diagnose(t.Context(), Config{URL: u.String()})
			if len(found) != 1 || found[0].Level != doctor.Fail || found[0].Detail != unreached.Why || found[0].Hint != unreached.Hint {
				t.Errorf("the doctor finds %+v, the run %+v", found, unreached)
			}
		})
	}
}

func TestWhyACertificateIsNotTrusted(t *testing.T) {
	config, err := parseURL("postgres://app@a,b/events?sslmode=verify-full")
	must(t, err)
	for want, fault := range map[string]error{
		"authority": x509.UnknownAuthorityError{},
		"other.net": x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"other.net"}}, Host: "a"},
		"expired":   x509.CertificateInvalidError{Reason: x509.Expired},
		"standby":   pgconn.ErrStandbyConnection,
	} {
		if err := connectError(config.ConnConfig, fmt.Errorf("connect: %w", fault)); !strings.Contains(err.Why, want) || !strings.Contains(err.Why, "a:5432, b:5432") || err.Hint == "" {
			t.Errorf("%+v, want %q", err, want)
		}
	}
}

// Keepalives are libpq's, and always on here; a schema is JDBC's.
func TestParametersOfOtherDrivers(t *testing.T) {
	url := pgtest.Database(t)
	p, err := Open(t.Context(), Config{URL: url + "&keepalives=1&keepalives_idle=5"})
	must(t, err)
	p.Close()
	if err := CheckURL(url + "&schema=app"); err == nil || !strings.Contains(err.Error(), "schema") {
		t.Errorf("got %v", err)
	}
}

// In a planned switchover the primary restarts as a standby before the other is promoted: for a while no server takes writes. That
// one of several does is waited for without being asked to.
func TestAPlannedSwitchover(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t, pgtest.Options{Settings: []string{"wal_level = replica"}})
	b := newBenchAt(t, server.URL("postgres"))
	other, err := url.Parse(pgtest.NewProxy(t, b.url).URL())
	must(t, err)
	p, err := Open(t.Context(), Config{URL: strings.Replace(b.url, "127.0.0.1", other.Host+",127.0.0.1", 1), Job: "test", Run: b.Run()})
	must(t, err)
	t.Cleanup(p.Close)
	from := b.begin(t, 1)
	server.Demote(t)
	done := make(chan error, 1)
	go func() {
		_, err := p.Commit(t.Context(), batch(from, events(0, 10)))
		done <- err
	}()
	awaitOutage(t, p)
	conn, err := pgx.Connect(t.Context(), b.url)
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), `select pg_promote()`)
	must(t, err)
	must(t, <-done)
}
