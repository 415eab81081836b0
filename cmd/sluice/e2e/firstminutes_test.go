package e2e

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
	"sluice/sink/pgtest"
)

// mishap is a way in which the first call of a new user fails.
type mishap struct {
	env  map[string]string
	args string // of sluice
	code int
	says string // on stderr, as docs/operations.md has it
}

// TestTheFirstTenMinutes provokes what a new user meets, and holds docs/operations.md to what he reads then.
func TestTheFirstTenMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1000, func(c *apisim.Config) { c.Key = canary })
	good := w.env[cli.EnvDatabase]
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	silent := httptest.NewUnstartedServer(http.NotFoundHandler())
	silent.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of us
	silent.StartTLS()
	t.Cleanup(silent.Close)
	moved := httptest.NewServer(http.RedirectHandler("https://api.example/secret", http.StatusMovedPermanently))
	t.Cleanup(moved.Close)
	plain := strings.TrimPrefix(w.env[cli.EnvAPI], "http://")
	page := read(t, "../../../docs/operations.md")
	for name, m := range map[string]mishap{
		"no key":                         {map[string]string{cli.EnvKey: ""}, "run", cli.ExitUsage, "API_BASE_URL is set and TARGET_API_KEY is not: the API wants a key"},
		"a wrong key":                    {map[string]string{cli.EnvKey: canary + "2"}, "run", cli.ExitUnreachable, "check TARGET_API_KEY; a new key with the same source resumes where this one stopped"},
		"no scheme":                      {map[string]string{cli.EnvAPI: plain}, "run", cli.ExitUsage, "API_BASE_URL is not a URL such as https://host (its text is not shown, it may hold a secret)"},
		"another scheme":                 {map[string]string{cli.EnvAPI: "ftp://host"}, "run", cli.ExitUsage, `API_BASE_URL begins with "ftp", it must begin with https:// or http://`},
		"a path":                         {map[string]string{cli.EnvAPI: "https://host/v2"}, "run", cli.ExitUsage, `API_BASE_URL has the path "/v2": give the origin, with or without /api/v1`},
		"https for http":                 {map[string]string{cli.EnvAPI: "https://" + plain}, "plan", cli.ExitUnreachable, "what answers speaks plain http: begin API_BASE_URL with http://"},
		"no such host":                   {map[string]string{cli.EnvAPI: "http://nosuch.invalid"}, "plan", cli.ExitUnreachable, "the host of API_BASE_URL is not known here: correct its name, or look after this machine's DNS"},
		"no API":                         {map[string]string{cli.EnvAPI: "http://127.0.0.1:1"}, "plan", cli.ExitUnreachable, "nothing listens at API_BASE_URL: correct host and port, or start the API"},
		"no certificate":                 {map[string]string{cli.EnvAPI: silent.URL}, "plan", cli.ExitUnreachable, "the API's certificate is not to be trusted: correct API_BASE_URL, or install the certificate's authority on this machine"},
		"a redirect":                     {map[string]string{cli.EnvAPI: moved.URL}, "plan", cli.ExitUnreachable, "this one leads to https://api.example: if that is the API, give it as API_BASE_URL"},
		"plain http":                     {map[string]string{cli.EnvAPI: "http://api.example.com"}, "plan --require-tls", cli.ExitUsage, "API_BASE_URL is plain http and --require-tls is set: the key would travel in the clear"},
		"no database":                    {map[string]string{cli.EnvDatabase: "postgres://u:p@127.0.0.1:1/x"}, "run", cli.ExitUnreachable, "start PostgreSQL there, or correct host and port in DATABASE_URL; without it, a private PostgreSQL is used"},
		"a wrong password":               {map[string]string{cli.EnvDatabase: asUser(t, good, "nobody", canary)}, "run", cli.ExitUnreachable, "correct user and password in DATABASE_URL"},
		"no such database":               {map[string]string{cli.EnvDatabase: onDatabase(t, good, "nosuch")}, "run", cli.ExitUnreachable, "make the database with createdb, or correct its name at the end of DATABASE_URL"},
		"another database":               {map[string]string{cli.EnvDatabase: "mysql://u:p@h/d"}, "run", cli.ExitUsage, "it does not begin with postgres:// or postgresql://; write it as postgres://user:password@host:5432/database, without quotes"},
		"a password that needs encoding": {map[string]string{cli.EnvDatabase: "postgres://app:12/34secret@db/x"}, "run", cli.ExitUsage, "it contains \"/\" before the @; in a password / is written %2F and ? is written %3F"},
		"a taken port":                   {nil, "run --listen=" + taken.Addr().String(), cli.ExitUsage, "choose another port, or :0 for a free one, with --listen"},
		"a port alone":                   {nil, "run --listen=8080", cli.ExitUsage, `--listen "8080": an address such as 127.0.0.1:8080 is needed`},
		"a mistyped flag":                {nil, "run --shrads=8", cli.ExitUsage, "sluice run has no setting --shrads: did you mean --shards?"},
		"a word":                         {nil, "run --shards=eight", cli.ExitUsage, `--shards "eight": it must be a whole number`},
		"no duration":                    {nil, "run --max-wait=long", cli.ExitUsage, `--max-wait "long": it must be a duration such as 90s, 15m or 2h`},
		"a mistyped word":                {nil, "stauts", cli.ExitUsage, `"stauts" is no command of sluice: did you mean status?`},
		"a misplaced word":               {nil, "run extra", cli.ExitUsage, `sluice run takes no argument, "extra" was given`},
		"no directory":                   {nil, "run --metrics-file=" + filepath.Join(t.TempDir(), "no", "x.prom"), cli.ExitUsage, "--metrics-file: nothing can be written to"},
		"no job yet":                     {map[string]string{cli.EnvDatabase: pgtest.Database(t)}, "status", cli.ExitUsage, "there is no job \"default\" in this database, nor any other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // an API that does not answer is asked again for a quarter of a minute
			other := &world{t: t, sim: w.sim, env: map[string]string{}}
			for _, env := range []map[string]string{w.env, m.env} {
				for variable, value := range env {
					other.env[variable] = value
				}
			}
			if _, given := m.env[cli.EnvDatabase]; !given {
				other.env[cli.EnvDatabase] = pgtest.Database(t) // one that waits for its API holds the job
			}
			r := other.mustRun(m.code, strings.Fields(m.args)...)
			if !contains(r.stderr, m.says) {
				t.Errorf("%q is not in\n%s", m.says, r.stderr)
			}
			if !contains(page, m.says) {
				t.Errorf("%q is not in docs/operations.md", m.says)
			}
		})
	}
}
