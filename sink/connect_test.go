package sink

import (
	"errors"
	"net/url"
	"strings"
	"testing"

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
