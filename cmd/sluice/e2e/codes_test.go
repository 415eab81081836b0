package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

// TestWrongUsageIsExplained: exit code 2, the setting is named, and nothing else happens.
func TestWrongUsageIsExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1000, nil)
	for line, want := range map[string]string{
		"run --shards=0":                        "--shards 0",
		"run --shards=x":                        "--shards",
		"run --memory=1KiB":                     "--memory",
		"run --memory=lots":                     "not a size",
		"run --memory=17179869185GiB":           "not a size", // overflowed, and was taken for 1 GiB
		"run --from=yesterday":                  "--from",
		"run --from=2026-01-02 --to=2026-01-01": "is not before",
		"run --made-cursors=always":             "--made-cursors",
		"run --list-limit=ten":                  "--list-limit",
		"run --no-such-flag":                    "no-such-flag",
		"run extra":                             "takes no argument",
		"frobnicate":                            "no command",
		"run --log-level=loud":                  "--log-level",
		"dead-letters show":                     "one id",
		"dead-letters list --limit=0":           "--limit",
		"simulate --profile=fast":               "--profile",
		"simulate --tie=many":                   "12000@",
		"simulate --live-start=2026-01-27":      "--live-rate",
		"simulate --at=2026-01-27":              "--truth",
		"simulate --live-rate=-1":               "Live.Rate",
		"simulate --late-share=0.1":             "Live.Rate",
	} {
		r := w.mustRun(cli.ExitUsage, strings.Fields(line)...)
		if !contains(r.stderr, want) || !contains(r.stderr, "exit code 2") {
			t.Errorf("sluice %s: %q is not in\n%s", line, want, r.stderr)
		}
	}
	if w.pages() != 0 {
		t.Errorf("%d pages were asked for", w.pages())
	}
}

func TestWrongEnvironmentIsExplained(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ variable, value, want string }{
		"no key":         {cli.EnvKey, "", "TARGET_API_KEY"},
		"no URL":         {cli.EnvAPI, "not a url", "API_BASE_URL"},
		"secret in URL":  {cli.EnvAPI, "https://user:" + canary + "@host", "API_BASE_URL"},
		"bad shards":     {"SLUICE_SHARDS", "many", "SLUICE_SHARDS"},
		"not a database": {cli.EnvDatabase, "mysql://x:" + canary + "@h/d", "DATABASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 10, nil)
			w.env[c.variable] = c.value
			r := w.run("run")
			if r.code != cli.ExitUsage || !contains(r.stderr, c.want) {
				t.Errorf("exit code %d, %q is not in\n%s", r.code, c.want, r.stderr)
			}
		})
	}
}

func TestUnreachableAPIOrDatabaseExits3(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10, nil)
	w.env[cli.EnvAPI] = "http://127.0.0.1:1"
	w.mustRun(cli.ExitUnreachable, "run")
	w = newWorld(t, 10, nil)
	w.env[cli.EnvDatabase] = "postgres://u:" + canary + "@127.0.0.1:1/x"
	w.mustRun(cli.ExitUnreachable, "run")
}

func TestRefusedKeyExits3(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10_000, func(c *apisim.Config) { c.Key = "another" })
	r := w.mustRun(cli.ExitUnreachable, "run")
	if !contains(r.stderr, "refused the key") {
		t.Error(r.stderr)
	}
}

// TestRevokedKeyStopsAllFetchers: exit code 3 after the key was refused three times over ten seconds, each time to at most one request
// of each fetcher; a rerun says so, too.
func TestRevokedKeyStopsAllFetchers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12_000, func(c *apisim.Config) { c.PageCap, c.KeyRevokedAfter = 100, 60 })
	w.mustRun(cli.ExitUnreachable, "run", "--shards=8", "--fetchers=4")
	refused := 0
	for _, r := range w.sim.Requests() {
		if r.Status == http.StatusUnauthorized {
			refused++
		}
	}
	if refused < 3 || refused > 3*4 {
		t.Errorf("%d requests with the revoked key, by 4 fetchers", refused)
	}
	w.env[cli.EnvKey] = canary + "2"
	w.mustRun(cli.ExitUnreachable, "run", "--shards=4")
}

// TestSourceThatCountsMoreThanItShowsIsInDoubt: the API's total is three more than the events it has.
func TestSourceThatCountsMoreThanItShowsIsInDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, func(c *apisim.Config) { c.TotalError = 3 })
	r := w.mustRun(cli.ExitDoubt, "run", "--shards=4")
	if contains(r.stdout, "ingestion complete") || !contains(r.stderr, "exit code 5") {
		t.Errorf("%s%s", r.stdout, r.stderr)
	}
	w.exact()
}

// TestRowsThatVanishAreFoundAndRepaired: verify reports a deficit, --repair opens the window, and a run fills it.
func TestRowsThatVanishAreFoundAndRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, nil)
	w.mustRun(cli.ExitOK, "run", "--shards=4")
	w.mustRun(cli.ExitOK, "verify")
	var gone int
	w.query(`with gone as (delete from ingested_events where id in (select id from ingested_events order by timestamp limit 7) returning 1)
		select count(*) from gone`, nil, &gone)
	w.mustRun(cli.ExitDoubt, "verify")
	w.mustRun(cli.ExitDoubt, "verify", "--repair")
	w.mustRun(cli.ExitOK, "run", "--shards=4")
	want := w.sim.Data().Truth(apisim.Past, apisim.Future)
	var got apisim.Sum
	w.query(apisim.TruthSQL, []any{nil, nil}, &got.Rows, &got.Hash)
	if got != want {
		t.Errorf("after the repair the table has %+v, want %+v", got, want)
	}
}

// TestJSONIsOneDocumentHoweverTheRunEnds: a script reads stdout, also where work could not start.
func TestJSONIsOneDocumentHoweverTheRunEnds(t *testing.T) {
	t.Parallel()
	whole := newWorld(t, 5000, nil)
	unreachable := newWorld(t, 10, nil)
	unreachable.env[cli.EnvAPI] = "http://127.0.0.1:1"
	doubtful := newWorld(t, 5000, func(c *apisim.Config) { c.TotalError = 3 })
	for _, c := range []struct {
		w    *world
		code int
	}{{whole, cli.ExitOK}, {whole, cli.ExitOK}, {unreachable, cli.ExitUnreachable}, {doubtful, cli.ExitDoubt}} {
		r := c.w.mustRun(c.code, "run", "--json")
		var got cli.Result
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.ExitCode != c.code || got.Verdict == "" {
			t.Errorf("exit code %d: %v, %+v in\n%s", c.code, err, got, r.stdout)
		}
		if (got.Hint == "") != (c.code == cli.ExitOK) || !contains(r.stderr, got.Hint) {
			t.Errorf("exit code %d: the hint %q is not what is printed:\n%s", c.code, got.Hint, r.stderr)
		}
	}
}

// TestATableThatDoesNotFitExits2, whoever finds it: what mends it is printed.
func TestATableThatDoesNotFitExits2(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1000, nil)
	w.exec(`create table ingested_events (id text primary key)`)
	for _, args := range [][]string{{"run"}, {"db", "migrate"}} {
		if r := w.mustRun(cli.ExitUsage, args...); !contains(r.stderr, "alter table public.ingested_events") {
			t.Errorf("%v: %s", args, r.stderr)
		}
	}
}
