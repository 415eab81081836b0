package cli

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/coordinator"
	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/fetch"
	"sluice/fetch/quota"
	"sluice/shard"
	"sluice/sink"
)

// The three names that the task itself gives. They are never flags: the last two are secrets.
const (
	EnvAPI      = "API_BASE_URL"
	EnvKey      = "TARGET_API_KEY"
	EnvDatabase = "DATABASE_URL"
)

// EnvPasswordCommand names a shell command that prints the password of DATABASE_URL.
const EnvPasswordCommand = "DATABASE_PASSWORD_COMMAND"

// EnvName returns the environment variable of a flag: --page-size is SLUICE_PAGE_SIZE.
func EnvName(flag string) string {
	return "SLUICE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// applyEnvironment gives every flag that was not set on the command line the value of its environment variable.
func (p *Program) applyEnvironment(flags *pflag.FlagSet) error {
	var faults []error
	flags.VisitAll(func(f *pflag.Flag) {
		value, set := p.Environ(EnvName(f.Name))
		if f.Changed || !set || value == "" || f.Name == "help" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", EnvName(f.Name), err))
		}
	})
	if len(faults) > 0 {
		return usage("%w", errors.Join(faults...))
	}
	return nil
}

// aroundUs are variables of the start script, of docker-compose.yml and of tests.
var aroundUs = []string{"SLUICE_DATABASE", "SLUICE_GRAFANA_PORT", "SLUICE_PAGE_PORT", "SLUICE_PG_PORT", "SLUICE_PICTURES",
	"SLUICE_PROMETHEUS_PORT", "SLUICE_VERSION"}

// checkEnvironment refuses a variable that is nearly a setting, as a mistyped flag is, and mentions others that are none.
func (p *Program) checkEnvironment(cmd *cobra.Command) error {
	if p.Names == nil || cmd.Flag("log-level") == nil && cmd.Flag("schema") == nil { // it takes no settings
		return nil
	}
	known := map[string]bool{}
	all := &cobra.Command{SuggestionsMinimumDistance: cmd.Root().SuggestionsMinimumDistance}
	addSettings(cmd.Root(), all, known)
	for _, name := range aroundUs {
		known[name] = true
	}
	var faults []error
	var unknown []string
	for _, name := range p.Names() {
		near := ""
		if strings.HasPrefix(name, "SLUICE_") && !known[name] {
			unknown = append(unknown, name)
			near = meant(all, name)
		}
		if near != "" {
			faults = append(faults, fmt.Errorf("%s is no setting%s", name, near))
		}
	}
	if len(faults) > 0 {
		return usage("%w", errors.Join(faults...))
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		p.say("in the environment and no setting: %s", strings.Join(unknown, ", "))
	}
	return nil
}

// addSettings adds the variables of a command, and of those below it, to what a mistyped one may have meant.
func addSettings(cmd, all *cobra.Command, known map[string]bool) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if name := EnvName(f.Name); !known[name] {
			known[name] = true
			all.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
		}
	})
	for _, below := range cmd.Commands() {
		addSettings(below, all, known)
	}
}

func (p *Program) env(name string) string {
	value, _ := p.Environ(name)
	return strings.TrimSpace(value)
}

// passwordCommand prints the password of DATABASE_URL. The private server has one of its own.
func (p *Program) passwordCommand() string {
	if p.env(EnvDatabase) == "" {
		return ""
	}
	return p.env(EnvPasswordCommand)
}

// common are the settings that most commands have.
type common struct {
	job      string
	schema   string
	json     bool
	logLevel string
	log      *slog.Logger
}

func (c *common) bind(flags *pflag.FlagSet) {
	flags.StringVar(&c.job, "job", "default", "name of the job: one source and one span")
	bindSchema(flags, &c.schema)
	flags.BoolVar(&c.json, "json", false, "print the result as JSON, for scripts")
	c.bindLog(flags)
}

// bindSchema binds the setting of all commands that look into the database.
func bindSchema(flags *pflag.FlagSet, schema *string) {
	flags.StringVar(schema, "schema", publicSchema, "schema of the database that all tables are in; it is made if there is none")
}

func (c *common) bindLog(flags *pflag.FlagSet) {
	flags.StringVar(&c.logLevel, "log-level", "info", "what is logged to stderr: debug, info, warn or error")
}

// openLog makes the log that the settings ask for, and checks what a database may be asked for.
func (c *common) openLog(p *Program) (err error) {
	if err := sink.CheckSchema(c.schema); err != nil {
		return usage("--schema: %w", err)
	}
	c.log, err = p.logger(c.logLevel)
	return err
}

// settings are those of `sluice run` and `sluice plan`.
type settings struct {
	common
	api, database string
	key           fetch.Secret

	shards, fetchers, writers       int
	queuePages, batchRows, pageSize int
	memory                          option[int64]
	from, to                        option[shard.Instant]
	listLimit, streamLimit          option[quota.Limit]
	madeCursors                     string
	giveUpAfter                     time.Duration
	maxWait                         time.Duration
	maxDeadLetters                  int64
	ignoreTotal                     bool
	requireTLS                      bool
	source                          string
	sourceMoved                     bool
	demo                            demoSettings
	listen, pageURL, metricsFile    string
	listenHosts                     []string
	pprof                           bool
	linger                          time.Duration
	lookback, safetyLag, every      time.Duration

	flags *pflag.FlagSet
	pause *shard.Pause // the operator's pause; nil if the command cannot be paused
}

// besidePages is the heap that a run may have beside the pages that --memory bounds, garbage included. The process has some 20 MiB
// more, for its code and its stacks.
const besidePages = 16 << 20

// given reports whether a flag was set, on the command line or in the environment.
func (s *settings) given(flag string) bool { return s.flags.Changed(flag) }

func (s *settings) bind(flags *pflag.FlagSet) {
	s.flags = flags
	s.common.bind(flags)
	s.memory.value, s.memory.text = coordinator.DefaultMemory, fmt.Sprintf("%dMiB", coordinator.DefaultMemory>>20)
	flags.IntVar(&s.shards, "shards", job.DefaultShards, "shards that the span is cut into")
	flags.IntVar(&s.fetchers, "fetchers", 0, "pages asked for at a time (default: as many as shards, 16 at most)")
	flags.IntVar(&s.writers, "writers", 2, "commits at a time")
	flags.IntVar(&s.queuePages, "queue-pages", shard.DefaultQueuePages, "pages that wait for the database, for each shard")
	flags.IntVar(&s.batchRows, "batch-rows", shard.DefaultBatchRows, "rows that are committed together at most")
	flags.IntVar(&s.pageSize, "page-size", 100_000, "records asked for at first; the API's answer decides")
	s.memory.bind(flags, "memory", "size", "what all pages in hand may hold together, such as 160MiB", readSize)
	s.from.bind(flags, "from", "time", "oldest event time, RFC 3339 or a date (default: open to the past)", readInstant)
	s.to.bind(flags, "to", "time", "event time to stop before, RFC 3339 or a date (default: open to the future)", readInstant)
	s.listLimit.bind(flags, "list-limit", "limit", "known limit of the list, such as 10/60s, or none (default: learned)", quota.ParseLimit)
	s.streamLimit.bind(flags, "stream-limit", "limit", "known limit of the stream, such as 50/60s, or none (default: learned)", quota.ParseLimit)
	flags.StringVar(&s.madeCursors, "made-cursors", "auto", "auto or never: make a cursor to resume where no endpoint can be asked by timestamp")
	flags.DurationVar(&s.giveUpAfter, "give-up-after", coordinator.DefaultGiveUpAfter, "stop when no page was committed for so long")
	flags.DurationVar(&s.maxWait, "max-wait", 15*time.Minute, "longest Retry-After that is waited for")
	flags.Int64Var(&s.maxDeadLetters, "max-dead-letters", 0, "dead letters that stop the run (default: 100 or 1 % of what was received)")
	flags.BoolVar(&s.ignoreTotal, "ignore-total", false, "the API's count of its events is wrong: do not check against it")
	flags.BoolVar(&s.requireTLS, "require-tls", false, "refuse an API that is reached by plain http")
	flags.StringVar(&s.source, "source", "", "name of the source (default: the API's origin, or the simulator's data)")
	flags.BoolVar(&s.sourceMoved, "source-moved", false, "the job's source has a new address: accept it under the same job")
	s.safetyLag = job.DefaultSafetyLag
	flags.StringVar(&s.demo.profile, "demo-profile", "demo", "without API_BASE_URL: demo, challenge or unlimited")
	flags.Int64Var(&s.demo.events, "demo-events", 3_000_000, "without API_BASE_URL: how many events are simulated")
	flags.Uint64Var(&s.demo.seed, "demo-seed", 1, "without API_BASE_URL: which events are simulated")
}

// bindWatch binds what lets others look at a run.
func (s *settings) bindWatch(flags *pflag.FlagSet) {
	flags.StringVar(&s.listen, "listen", "", "serve a live page, /metrics, /healthz and /readyz here, such as 127.0.0.1:8080")
	flags.StringSliceVar(&s.listenHosts, "listen-host", nil, "with --listen: names by which it may be asked, too, such as that of a container")
	flags.StringVar(&s.pageURL, "page-url", "", "with --listen: where the page is to be seen, to be printed, such as the address of a proxy or of a published port")
	flags.DurationVar(&s.linger, "linger", 0, "with --listen: go on serving so long after the end, or until Ctrl-C")
	flags.BoolVar(&s.pprof, "pprof", false, "with --listen: serve /debug/pprof, too")
	flags.StringVar(&s.metricsFile, "metrics-file", "", "write the metrics there at the end, for node_exporter's textfile collector (*.prom)")
}

// load takes in what comes from the environment alone, and checks everything.
func (s *settings) load(p *Program) error {
	s.api, s.key, s.database = p.env(EnvAPI), fetch.Secret(p.env(EnvKey)), p.env(EnvDatabase)
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	run := coordinator.Config{
		Fetchers: cmp.Or(s.fetchers, coordinator.DefaultFetchers(s.shards)), Memory: s.memory.value,
		Limits:      shard.Limits{QueuePages: s.queuePages, BatchRows: s.batchRows},
		GiveUpAfter: s.giveUpAfter, Drain: coordinator.DefaultDrain,
	}
	whole := job.Config{Name: s.job, Shards: s.shards, MaxDeadLetters: s.maxDeadLetters, Every: s.every}
	for _, fault := range append(run.Faults(), whole.Faults()...) {
		faults = append(faults, fmt.Errorf("--%w", fault))
	}
	check(s.writers >= 1 && s.writers <= 64, "--writers %d: there must be from 1 to 64", s.writers)
	check(s.pageSize >= 1 && s.pageSize <= 1_000_000, "--page-size %d: it must be from 1 to 1,000,000", s.pageSize)
	check(s.madeCursors == "auto" || s.madeCursors == "never", "--made-cursors %q: it must be auto or never", s.madeCursors)
	check(s.maxWait > 0, "--max-wait %s: it must be positive", s.maxWait)
	check(s.lookback >= 0, "--lookback %s: must not be negative", s.lookback)
	check(s.safetyLag >= 0, "--safety-lag %s: must not be negative", s.safetyLag)
	check(!s.from.set || !s.to.set || s.from.value < s.to.value, "--from %s is not before --to %s", s.from.value, s.to.value)
	err := s.openLog(p)
	check(err == nil, "%v", err)
	err = writable(s.metricsFile)
	check(err == nil, "--metrics-file: %v", err)
	err = sink.CheckURL(s.database)
	check(s.database == "" || err == nil, "%w", err)
	check(s.api == "" || s.key != "", "API_BASE_URL is set and TARGET_API_KEY is not: the API wants a key")
	if len(faults) > 0 {
		return usage("%w", errors.Join(faults...))
	}
	return nil
}

// isDemo reports whether no API is configured, so that the simulator is ingested.
func (s *settings) isDemo() bool { return s.api == "" }

// span returns what --from and --to bound; their absence leaves it open.
func (s *settings) span() shard.Window {
	w := ledger.Everything
	if s.from.set {
		w.Start = s.from.value
	}
	if s.to.set {
		w.End = s.to.value
	}
	return w
}

// option is the value of a flag that is more than a word or a number.
type option[T any] struct {
	value      T
	text, kind string // as it was given; the name of the value in the help
	set        bool
	read       func(string) (T, error)
}

func (o *option[T]) bind(flags *pflag.FlagSet, name, kind, usage string, read func(string) (T, error)) {
	o.kind, o.read = kind, read
	flags.Var(o, name, usage)
}

// String implements [pflag.Value].
func (o *option[T]) String() string { return o.text }

// Set implements [pflag.Value].
func (o *option[T]) Set(text string) error {
	value, err := o.read(text)
	if err == nil {
		o.value, o.text, o.set = value, text, true
	}
	return err
}

// Type implements [pflag.Value].
func (o *option[T]) Type() string { return o.kind }

// readSize reads a number of bytes with one of the units B, KiB, MiB, GiB (KB, MB and GB are taken as those).
func readSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BKMGikmgb ")
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(s[len(digits):])), "B"), "I")
	shift, known := map[string]int{"": 0, "K": 10, "M": 20, "G": 30}[unit]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !known || n < 0 || n > math.MaxInt64>>shift {
		return 0, fmt.Errorf("%q is not a size such as 160MiB", s)
	}
	return n << shift, nil
}

// readInstant reads a point in event time: RFC 3339, or a date, which is its first instant in UTC.
func readInstant(s string) (shard.Instant, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.Parse(time.DateOnly, s)
	}
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return 0, fmt.Errorf("%q is neither RFC 3339 (2026-01-27T19:20:12Z) nor a date (2026-01-27) from 1970 to 2200", s)
	}
	return shard.InstantOf(t), nil
}
