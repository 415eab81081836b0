package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

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
		r := w.mustRun(exitUsage, strings.Fields(line)...)
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
		"no key":         {envKey, "", "TARGET_API_KEY"},
		"no URL":         {envAPI, "not a url", "API_BASE_URL"},
		"secret in URL":  {envAPI, "https://user:" + canary + "@host", "API_BASE_URL"},
		"bad shards":     {"SLUICE_SHARDS", "many", "SLUICE_SHARDS"},
		"not a database": {envDatabase, "mysql://x:" + canary + "@h/d", "DATABASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 10, nil)
			w.env[c.variable] = c.value
			r := w.run("run")
			if r.code != exitUsage || !contains(r.stderr, c.want) {
				t.Errorf("exit code %d, %q is not in\n%s", r.code, c.want, r.stderr)
			}
		})
	}
}

func TestUnreachableAPIOrDatabaseExits3(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10, nil)
	w.env[envAPI] = "http://127.0.0.1:1"
	w.mustRun(exitUnreachable, "run")
	w = newWorld(t, 10, nil)
	w.env[envDatabase] = "postgres://u:" + canary + "@127.0.0.1:1/x"
	w.mustRun(exitUnreachable, "run")
}

func TestRefusedKeyExits3(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 10_000, func(c *apisim.Config) { c.Key = "another" })
	r := w.mustRun(exitUnreachable, "run")
	if !contains(r.stderr, "refused the key") {
		t.Error(r.stderr)
	}
}

// TestRevokedKeyStopsAllFetchers: exit code 3, and after the first refusal at most the request that each other fetcher had under
// way; a rerun says so at once.
func TestRevokedKeyStopsAllFetchers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12_000, func(c *apisim.Config) { c.PageCap, c.KeyRevokedAfter = 100, 60 })
	w.mustRun(exitUnreachable, "run", "--shards=8", "--fetchers=4")
	refused := 0
	for _, r := range w.sim.Requests() {
		if r.Status == http.StatusUnauthorized {
			refused++
		}
	}
	if refused < 1 || refused > 4 {
		t.Errorf("%d requests with the revoked key, by 4 fetchers", refused)
	}
	w.env[envKey] = canary + "2"
	w.mustRun(exitUnreachable, "run", "--shards=4")
}

// TestSourceThatCountsMoreThanItShowsIsInDoubt: the API's total is three more than the events it has.
func TestSourceThatCountsMoreThanItShowsIsInDoubt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, func(c *apisim.Config) { c.TotalError = 3 })
	r := w.mustRun(exitDoubt, "run", "--shards=4")
	if contains(r.stdout, "ingestion complete") || !contains(r.stderr, "exit code 5") {
		t.Errorf("%s%s", r.stdout, r.stderr)
	}
	w.exact()
}

// TestRowsThatVanishAreFoundAndRepaired: verify reports a deficit, --repair opens the window, and a run fills it.
func TestRowsThatVanishAreFoundAndRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, nil)
	w.mustRun(exitOK, "run", "--shards=4")
	w.mustRun(exitOK, "verify")
	var gone int
	w.query(`with gone as (delete from ingested_events where id in (select id from ingested_events order by timestamp limit 7) returning 1)
		select count(*) from gone`, nil, &gone)
	w.mustRun(exitDoubt, "verify")
	w.mustRun(exitDoubt, "verify", "--repair")
	w.mustRun(exitOK, "run", "--shards=4")
	want := w.sim.Data().Truth(apisim.Past, apisim.Future)
	var got apisim.Sum
	w.query(apisim.TruthSQL, []any{nil, nil}, &got.Rows, &got.Hash)
	if got != want {
		t.Errorf("after the repair the table has %+v, want %+v", got, want)
	}
}

// TestAnotherSourceUnderTheSameNameIsRefused unless it is said to be the same data at a new address.
func TestAnotherSourceUnderTheSameNameIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.env["SLUICE_SOURCE"] = "https://api.example.com"
	w.mustRun(exitOK, "run")
	w.env["SLUICE_SOURCE"] = "https://elsewhere.example.com"
	r := w.mustRun(exitUsage, "run")
	if !contains(r.stderr, "--source-moved") {
		t.Error(r.stderr)
	}
	w.mustRun(exitOK, "run", "--source-moved")
}

// TestAnotherDemoIsAnotherSource: data that are others cannot have moved, and the way out is a command that works.
func TestAnotherDemoIsAnotherSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(exitOK, "run")
	w.env["SLUICE_SOURCE"] = "simulator:seed=1,n=60000"
	for _, args := range [][]string{{"run"}, {"run", "--source-moved"}, {"run", "--job=two"}} {
		r := w.mustRun(exitUsage, args...)
		_, command, found := strings.Cut(r.stderr, ` -c '`)
		sql, _, ended := strings.Cut(command, "'")
		if !found || !ended {
			t.Fatalf("%v: no command in\n%s", args, r.stderr)
		}
		if len(args) > 1 && args[1] == "--job=two" {
			w.hold(sql + "; commit")()
		}
	}
	w.mustRun(exitOK, "run")
	w.exact()
}

// TestALookSpendsTheSameQuota: plan, doctor and verify wait for what a run was told, instead of asking on their own account.
func TestALookSpendsTheSameQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(exitOK, "run")
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "", ""
	w.hold(`update api_quotas set not_before = now() + interval '1 hour'; commit`)()
	before := w.pages()
	w.mustRun(exitLeft, "plan")
	w.mustRun(exitUnreachable, "doctor")
	if r := w.mustRun(exitOK, "verify"); !contains(r.stdout, "not checked: the source's total at the end") {
		t.Error(r.stdout)
	}
	if asked := w.pages() - before; asked != 0 {
		t.Errorf("%d pages were asked for in an hour without quota", asked)
	}
}

// TestALookIsBooked: what plan spends, the next run knows of.
func TestALookIsBooked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(exitOK, "run")
	var before, after int
	w.query(`select coalesce(sum(cardinality(sent)), 0)::int from api_quotas`, nil, &before)
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "10/60s", "50/60s"
	w.mustRun(exitOK, "plan")
	w.query(`select coalesce(sum(cardinality(sent)), 0)::int from api_quotas`, nil, &after)
	if after <= before {
		t.Errorf("%d requests on record before the look, %d after it", before, after)
	}
}

// TestAWaitAtTheStartIsRemembered: a run that was told to come back in an hour, before it had a plan, tells the next one.
func TestAWaitAtTheStartIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "", ""
	w.sim.Script(apisim.List, apisim.Limited(time.Hour))
	w.sim.Script(apisim.Feed, apisim.Limited(time.Hour))
	w.mustRun(exitLeft, "run")
	before := w.pages()
	w.mustRun(exitLeft, "run")
	if asked := w.pages() - before; asked != 0 {
		t.Errorf("%d pages were asked for, an hour too early", asked)
	}
}

// TestVerifyWithoutTheAPI compares table and ledger all the same.
func TestVerifyWithoutTheAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(exitOK, "run")
	w.env[envAPI] = "http://127.0.0.1:1"
	if r := w.mustRun(exitOK, "verify"); !contains(r.stdout, "verified:") || !contains(r.stderr, "did not say") {
		t.Errorf("%s%s", r.stdout, r.stderr)
	}
}

// TestDemoDoesNotMixWithRealRows: neither way.
func TestDemoDoesNotMixWithRealRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5000, nil)
	w.mustRun(exitOK, "run")
	w.env["SLUICE_SOURCE"] = "https://api.example.com"
	if r := w.mustRun(exitUsage, "run", "--job=real"); !contains(r.stderr, "rows of the demo") {
		t.Error(r.stderr)
	}
	w.env["SLUICE_SOURCE"] = "simulator:seed=9,n=1"
	if r := w.mustRun(exitUsage, "run", "--job=other"); !contains(r.stderr, "would mix") {
		t.Error(r.stderr)
	}
}

// TestSpanOfAJob: --from and --to bound what is stored, exactly.
func TestSpanOfAJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12_000, func(c *apisim.Config) { c.PageCap = 1000 })
	w.mustRun(exitOK, "run", "--shards=3", "--from=2026-01-05", "--to=2026-01-20T12:00:00Z")
	start, end := mustInstant(t, "2026-01-05"), mustInstant(t, "2026-01-20T12:00:00Z")
	want := w.sim.Data().Truth(int64(start.at), int64(end.at))
	var got apisim.Sum
	w.query(apisim.TruthSQL, []any{start.at.Time(), end.at.Time()}, &got.Rows, &got.Hash)
	var all int64
	w.query(`select count(*) from ingested_events`, nil, &all)
	if got != want || all != want.Rows {
		t.Errorf("the table has %+v in the span and %d rows in all, want %+v", got, all, want)
	}
}

func mustInstant(t *testing.T, s string) (i instantFlag) {
	t.Helper()
	if err := i.Set(s); err != nil {
		t.Fatal(err)
	}
	return i
}

// TestCommandsThatLook: status, verify, plan, doctor and dead-letters work after a run, as text and as JSON.
func TestCommandsThatLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 20_000, func(c *apisim.Config) { c.MalformedShare = 0.002 })
	w.mustRun(exitUsage, "status")
	w.mustRun(exitOK, "run", "--shards=4")
	for line, want := range map[string]string{
		"status":                                "complete and verified",
		"status --json":                         `"state": "complete and verified"`,
		"verify":                                "verified:",
		"verify --json":                         `"ok": true`,
		"plan --shards=4":                       "    4  ",
		"plan --json":                           `"until_stream": true`,
		"doctor":                                "ladder",
		"doctor --no-api --json":                `"name": "connect"`,
		"dead-letters list":                     "timestamp",
		"dead-letters list --json":              `"sha256"`,
		"dead-letters show 1":                   "reason",
		"dead-letters show 1 --json":            `"raw_bytes"`,
		"version":                               "sluice",
		"--help":                                "dead-letters",
		"simulate --truth --events=10 --seed=1": "10|",
		"simulate --truth --events=10 --live-rate=1 --live-start=2026-01-01 --at=2026-01-01T00:01:40Z":                             "110|",
		"simulate --truth --events=10 --live-rate=1 --live-start=2026-01-01 --at=2026-01-01T00:01:40Z --from=2026-01-01T00:00:01Z": "99|",
	} {
		if r := w.mustRun(exitOK, strings.Fields(line)...); !contains(r.stdout, want) {
			t.Errorf("sluice %s: %q is not in\n%s%s", line, want, r.stdout, r.stderr)
		}
	}
}

func TestPathsAreQuotedForAShell(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		".sluice/bin/sluice": ".sluice/bin/sluice",
		"/a b/sluice":        "'/a b/sluice'",
		"/it's/sluice":       `'/it'\''s/sluice'`,
	} {
		if got := shellWord(path); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", path, got, want)
		}
	}
}

// TestSourceIsSpelledInOneWay: the same API under two spellings is the same job.
func TestSourceIsSpelledInOneWay(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"HTTPS://Api.Example.com:443/api/v1": "https://api.example.com",
		"https://api.example.com/":           "https://api.example.com",
		"http://127.0.0.1:8080/api/v1":       "http://127.0.0.1:8080",
		"simulator:seed=1,n=10":              "simulator:seed=1,n=10",
		"":                                   "https://other",
	} {
		if got := named(given, "https://other"); got != want {
			t.Errorf("named(%q) = %q, want %q", given, got, want)
		}
	}
}

// TestJSONIsOneDocumentHoweverTheRunEnds: a script reads stdout, also where work could not start.
func TestJSONIsOneDocumentHoweverTheRunEnds(t *testing.T) {
	t.Parallel()
	whole := newWorld(t, 5000, nil)
	unreachable := newWorld(t, 10, nil)
	unreachable.env[envAPI] = "http://127.0.0.1:1"
	doubtful := newWorld(t, 5000, func(c *apisim.Config) { c.TotalError = 3 })
	for _, c := range []struct {
		w    *world
		code int
	}{{whole, exitOK}, {whole, exitOK}, {unreachable, exitUnreachable}, {doubtful, exitDoubt}} {
		r := c.w.mustRun(c.code, "run", "--json")
		var got result
		if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || got.ExitCode != c.code || got.Verdict == "" {
			t.Errorf("exit code %d: %v, %+v in\n%s", c.code, err, got, r.stdout)
		}
		if (got.Hint == "") != (c.code == exitOK) || !contains(r.stderr, got.Hint) {
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
		if r := w.mustRun(exitUsage, args...); !contains(r.stderr, "alter table public.ingested_events") {
			t.Errorf("%v: %s", args, r.stderr)
		}
	}
}
