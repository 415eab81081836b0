package e2e

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"

	composecli "github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/pflag"
)

// compose loads docker-compose.yml as `docker compose` does, strictly, with these variables and profiles.
func compose(t *testing.T, env []string, profiles ...string) *types.Project {
	t.Helper()
	options, err := composecli.NewProjectOptions([]string{"../../../docker-compose.yml"}, composecli.WithEnv(env), composecli.WithProfiles(profiles))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

const everything = "*" // all profiles

func TestComposeProfiles(t *testing.T) {
	t.Parallel()
	for profile, want := range map[string][]string{
		"":              {"postgres"}, // what `docker compose up` starts
		"simulator":     {"postgres", "simulator"},
		"run":           {"postgres", "sluice"},
		"observability": {"grafana", "postgres", "prometheus"},
		everything:      {"grafana", "postgres", "prometheus", "simulator", "sluice"},
	} {
		if got := slices.Sorted(maps.Keys(compose(t, nil, profile).Services)); !slices.Equal(got, want) {
			t.Errorf("profile %q: services %q, want %q", profile, got, want)
		}
	}
}

func TestComposePostgres(t *testing.T) {
	t.Parallel()
	pg := compose(t, nil).Services["postgres"]
	if pg.Image != "postgres:16" {
		t.Errorf("image %q", pg.Image)
	}
	if len(pg.Ports) != 1 || pg.Ports[0].HostIP != "127.0.0.1" || pg.Ports[0].Published != "55432" || pg.Ports[0].Target != 5432 {
		t.Errorf("ports %+v: want the loopback's 55432 only", pg.Ports)
	}
	if other := compose(t, []string{"SLUICE_PG_PORT=6000"}).Services["postgres"].Ports[0]; other.Published != "6000" || other.HostIP != "127.0.0.1" {
		t.Errorf("with SLUICE_PG_PORT=6000: %+v", other)
	}
	test := strings.Join(pg.HealthCheck.Test, " ")
	for _, word := range []string{"pg_isready", "--username=" + *pg.Environment["POSTGRES_USER"], "--host=127.0.0.1"} {
		if !strings.Contains(test, word) {
			t.Errorf("health check %q without %q", test, word)
		}
	}
	if len(pg.Volumes) != 1 || pg.Volumes[0].Type != types.VolumeTypeVolume {
		t.Errorf("volumes %+v: the data shall survive", pg.Volumes)
	}
	for _, word := range pg.Command {
		if strings.HasPrefix(word, "fsync") || strings.HasPrefix(word, "full_page_writes") || strings.HasPrefix(word, "synchronous_commit") {
			t.Errorf("setting %s: durability is not to be touched", word)
		}
	}
}

// The two databases: one is made by the image, the other by a script; the program connects to either.
func TestComposeDatabases(t *testing.T) {
	t.Parallel()
	project := compose(t, nil)
	pg := project.Services["postgres"]
	if *pg.Environment["POSTGRES_DB"] != "sluice" || project.Configs["databases"].Content != "create database sluice_demo;" {
		t.Error("not both databases are made")
	}
	if target := pg.Configs[0].Target; !strings.HasPrefix(target, "/docker-entrypoint-initdb.d/") || !strings.HasSuffix(target, ".sql") {
		t.Errorf("the image does not run %q", target)
	}
}

func TestComposeSluice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env                   []string
		api, database, source string
	}{
		"nothing set: the demo": {
			nil, "http://simulator:8080", "postgres://sluice:sluice@postgres:5432/sluice_demo?sslmode=disable", "simulator:v2,seed=1,n=3000000",
		},
		"as run-ingestion.sh calls it for a real API": {
			[]string{"API_BASE_URL=http://api", "SLUICE_DATABASE=sluice"},
			"http://api", "postgres://sluice:sluice@postgres:5432/sluice?sslmode=disable", "http://api",
		},
		"a database of one's own": {
			[]string{"API_BASE_URL=http://api", "DATABASE_URL=postgres://db/x", "SLUICE_SOURCE=mine"}, "http://api", "postgres://db/x", "mine",
		},
	} {
		env := compose(t, c.env, everything).Services["sluice"].Environment
		for key, want := range map[string]string{"API_BASE_URL": c.api, "DATABASE_URL": c.database, "SLUICE_SOURCE": c.source} {
			if got := env[key]; got == nil || *got != want {
				t.Errorf("%s: %s is %v, want %q", name, key, got, want)
			}
		}
	}
}

// The demo's source is named by its data, so the name must agree with what the simulator is told to serve.
func TestComposeSimulatorServesItsSource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env                           []string
		seed, events, profile, source string
	}{
		{nil, "1", "3000000", "demo", "simulator:v2,seed=1,n=3000000"},
		{[]string{"SLUICE_DEMO_SEED=7", "SLUICE_DEMO_EVENTS=5000", "SLUICE_DEMO_PROFILE=challenge"}, "7", "5000", "challenge", "simulator:v2,seed=7,n=5000"},
	} {
		services := compose(t, c.env, everything).Services
		command := strings.Join(services["simulator"].Command, " ")
		want := "simulate --listen=0.0.0.0:8080 --profile=" + c.profile + " --events=" + c.events + " --seed=" + c.seed
		if source := *services["sluice"].Environment["SLUICE_SOURCE"]; command != want || source != c.source {
			t.Errorf("env %q: command %q, want %q; source %q, want %q", c.env, command, want, source, c.source)
		}
	}
}

// The health check asks the port that the simulator listens on, with the wget of the image's system.
func TestComposeSimulatorHealth(t *testing.T) {
	t.Parallel()
	test := compose(t, nil, everything).Services["simulator"].HealthCheck.Test
	if test[1] != "wget" || test[len(test)-1] != "http://127.0.0.1:8080/health" {
		t.Errorf("health check %q", test)
	}
	if dockerfile := read(t, "../../../Dockerfile"); !strings.Contains(dockerfile, "\nFROM alpine:") || !strings.Contains(dockerfile, "\nUSER 65534") {
		t.Error("the image has no wget, or runs as root")
	}
}

// What the file hands to the program is what the program reads, all of it.
func TestComposeSettings(t *testing.T) {
	t.Parallel()
	var env []string
	for _, name := range settingNames() {
		env = append(env, name+"=given")
	}
	given := compose(t, env, everything).Services["sluice"].Environment
	for _, name := range settingNames() {
		if value := given[name]; value == nil || *value != "given" {
			t.Errorf("%s is not handed on", name)
		}
	}
	for name := range given {
		if !slices.Contains(settingNames(), name) {
			t.Errorf("%s is no setting of the program", name)
		}
	}
	for name, value := range compose(t, nil, everything).Services["sluice"].Environment {
		if value != nil && *value == "" {
			t.Errorf("%s is handed on empty where it is not set", name)
		}
	}
}

// Prometheus finds a run in a container by its name: the run listens where others in the network reach it, at the port that
// stands in the targets, and answers to that name. The file takes no port of the machine: two runs may go on at a time, and the
// script publishes the page of one of them.
func TestComposeRunIsScrapedByName(t *testing.T) {
	t.Parallel()
	sluice := compose(t, nil, everything).Services["sluice"]
	_, port, err := net.SplitHostPort(*sluice.Environment["SLUICE_LISTEN"])
	if err != nil {
		t.Fatal(err)
	}
	target := net.JoinHostPort(*sluice.Environment["SLUICE_LISTEN_HOST"], port)
	if targets := read(t, "../../../deploy/prometheus/targets/sluice.json"); target != "sluice:8080" || !strings.Contains(targets, `"`+target+`"`) {
		t.Errorf("%s is not among the targets: %s", target, targets)
	}
	if !strings.Contains(read(t, "../../../run-ingestion.sh"), `$alone --use-aliases"`) {
		t.Error("a container of `docker compose run` has its service's name with --use-aliases only")
	}
	if !strings.Contains(read(t, "../../../run-ingestion.sh"), `alone="--publish 127.0.0.1:$port:`+port+" $alone\"") {
		t.Errorf("the script does not publish port %s of a run on the loopback", port)
	}
	if len(sluice.Ports) > 0 {
		t.Errorf("a run takes %v of the machine", sluice.Ports)
	}
}

func TestComposeStopsGently(t *testing.T) {
	t.Parallel()
	services := compose(t, nil, everything).Services
	sluice := services["sluice"]
	if grace := sluice.StopGracePeriod; grace == nil || time.Duration(*grace) <= 10*time.Second {
		t.Errorf("stop grace %v: a stop may take 10 s", grace)
	}
	if sluice.Init == nil || !*sluice.Init {
		t.Error("without an init the program is process 1, which no signal ends by default")
	}
	if on := sluice.DependsOn["postgres"]; on.Condition != types.ServiceConditionHealthy {
		t.Errorf("depends on postgres: %+v", on)
	}
	for _, name := range []string{"postgres", "simulator"} {
		if check := services[name].HealthCheck; check == nil || check.Disable || len(check.Test) == 0 {
			t.Errorf("%s has no health check: `up --wait` would not wait for it", name)
		}
	}
	if hosts := sluice.ExtraHosts["host.docker.internal"]; !slices.Equal(hosts, []string{"host-gateway"}) {
		t.Errorf("extra hosts %v: an API on this machine cannot be reached", sluice.ExtraHosts)
	}
}

// settingNames are the environment variables that `sluice run` reads: the task's own, and one for each flag.
func settingNames() []string {
	names := []string{cli.EnvAPI, cli.EnvKey, cli.EnvDatabase}
	run, _, err := (&cli.Program{}).Root().Find([]string{"run"})
	if err != nil {
		panic(err)
	}
	run.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			names = append(names, cli.EnvName(f.Name))
		}
	})
	return names
}
