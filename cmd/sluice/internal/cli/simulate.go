package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
)

// simulateSettings are those of `sluice simulate`: the simulator's own, one flag for each that people vary.
type simulateSettings struct {
	listen, profile, health string
	truth                   bool
	from, to, at            option[shard.Instant]
	list, feed              option[quota.Limit]

	// config holds what the flags set; a flag that was not given leaves the profile's value.
	config            apisim.Config
	skewAt, liveStart option[shard.Instant]
	tie               option[[]apisim.Tie]
	// latency replaces all that the profile says of latency.
	latency time.Duration
}

func (p *Program) simulateCommand() *cobra.Command {
	var s simulateSettings
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Serve the DataSync Analytics API from a simulator",
		Long: "Serves the API as some thirty people observed it. Every disputed fact is a setting; faults are drawn from the seed.\n" +
			"Event i is a function of the seed and i: --truth prints the count and the hash that a table must have.\n" +
			"With --live-rate events go on after --live-start, some late; what is there is a function of the flags and the clock. With the same\n" +
			"--live-start, another simulator serves the same, and --truth --at says what was there. A start that has passed makes a gap.",
		Example: "  sluice simulate --profile=challenge --listen=127.0.0.1:8080\n" +
			"  sluice simulate --live-rate=50 --live-start=2026-01-27T20:00:00Z --late-share=0.05 --late-by=2m --late-most=10m\n" +
			"  sluice simulate --truth --events=3000000 --seed=1\n" +
			"  sluice simulate --health=http://127.0.0.1:8080/health",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.simulate(cmd, &s) },
	}
	s.bind(cmd.Flags())
	return cmd
}

func (s *simulateSettings) bind(flags *pflag.FlagSet) {
	c := &s.config
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "address to listen on")
	flags.StringVar(&s.profile, "profile", "demo", "demo, challenge (true limits and latency) or unlimited")
	flags.StringVar(&s.health, "health", "", "only look whether the simulator at this URL is healthy")
	flags.BoolVar(&s.truth, "truth", false, "only print count and hash of the events, as the table must have them")
	s.from.bind(flags, "from", "time", "with --truth: only events from here on", readInstant)
	s.to.bind(flags, "to", "time", "with --truth: only events before this", readInstant)
	s.at.bind(flags, "at", "time", "with --truth: only what was there at this time (default: now)", readInstant)
	flags.Int64Var(&c.Events, "events", 3_000_000, "how many events there are")
	flags.Uint64Var(&c.Seed, "seed", 1, "decides every event and every fault")
	flags.Float64Var(&c.SkewShare, "skew", 0, "share of the events inside one hour")
	s.skewAt.bind(flags, "skew-at", "time", "when that hour begins (default: in the middle)", readInstant)
	s.tie.bind(flags, "tie", "events@time", "events in one millisecond, such as 12000@2026-01-10T00:00:00Z", s.readTie)
	flags.Float64Var(&c.WrongShare, "wrong", 0, "share of the events served with a wrong timestamp")
	flags.Float64Var(&c.MalformedShare, "malformed", 0, "share of the records that are malformed")
	s.list.bind(flags, "list", "limit", "limit of the list, such as 10/60s or none", quota.ParseLimit)
	s.feed.bind(flags, "feed", "limit", "limit of the stream, such as 50/60s or none", quota.ParseLimit)
	flags.DurationVar(&s.latency, "latency", 0, "time that a page takes, and nothing else then takes any (default: the profile's)")
	flags.IntVar(&c.PageCap, "page-cap", 5000, "most events in a page")
	flags.BoolVar(&c.Flat, "flat", false, "flat bodies instead of nested ones")
	flags.BoolVar(&c.Gzip, "gzip", false, "compress")
	flags.StringVar((*string)(&c.Window), "window", string(apisim.WindowFeed), "where since and until work: feed, both or none")
	flags.BoolVar(&c.SinceExclusive, "since-exclusive", false, "since means later than")
	flags.BoolVar(&c.UntilExclusive, "until-exclusive", false, "until means earlier than")
	flags.BoolVar(&c.Opaque, "opaque", false, "encrypted cursors")
	flags.StringVar((*string)(&c.Gate), "gate", string(apisim.GateBrowser), "who gets stream access: browser, origin, cookie or shut")
	flags.DurationVar(&c.CursorLife, "cursor-life", 0, "how long a cursor lives (default: the profile's)")
	flags.DurationVar(&c.TokenLife, "token-life", 0, "how long a stream token lives (default: the profile's)")
	flags.StringVar(&c.Key, "key", "", "the only key that is accepted (default: any)")
	s.bindDisputed(flags)
	s.bindFaults(flags)
	s.bindLive(flags)
}

// bindDisputed binds what observers of the API have not agreed on, or saw only once.
func (s *simulateSettings) bindDisputed(flags *pflag.FlagSet) {
	c := &s.config
	flags.StringVar((*string)(&c.Algorithm), "algorithm", string(apisim.SlidingAll), "how requests are counted: sliding, sliding-accepted (refused ones are free) or fixed")
	flags.StringVar((*string)(&c.RetryAfter), "retry-after", string(apisim.RetryBoth), "where a 429 says when to come back: both, header, body, date or none")
	flags.BoolVar(&c.FeedShared, "feed-shared", false, "the stream spends from the list's limit")
	flags.BoolVar(&c.FreeHits, "free-hits", false, "answers from the cache do not count against a limit")
	flags.BoolVar(&c.DeadTokenFree, "dead-token-free", false, "requests with a dead token do not count against a limit")
	flags.IntVar(&c.QueryLimit, "query-limit", 0, "limit of the list for a key in the URL (default: the profile's)")
	flags.BoolVar(&c.QuerySeparate, "query-separate", false, "a key in the URL is counted apart")
	flags.IntVar(&c.ListDefault, "list-default", 100, "events in a page of the list, unless a request says how many")
	flags.IntVar(&c.FeedDefault, "feed-default", 25, "the same at the stream")
	flags.DurationVar(&c.CacheLife, "cache-life", 0, "how long an answer is repeated (default: the profile's)")
	flags.StringVar((*string)(&c.CursorFault), "bad-cursor", string(apisim.BadCursor400), "the answer to a cursor that cannot be read: 400, 502 or ignore")
	flags.BoolVar(&c.ExpiredAs502, "expired-as-502", false, "an expired cursor is answered 502, not 400")
	flags.BoolVar(&c.Teapot, "teapot", false, "a cursor beyond the oldest event is answered 418")
	flags.Int64Var(&c.TotalError, "total-error", 0, "added to the total that pages report")
	flags.DurationVar(&c.KeyLife, "key-life", 0, "how long a key is good after its first use (default: for ever)")
	flags.Int64Var(&c.KeyRevokedAfter, "key-revoked-after", 0, "requests with a key, after which it is refused (default: never)")
	flags.BoolVar(&c.OpenStats, "open-stats", false, "/internal/stats needs no key")
	flags.BoolVar(&c.BulkWorks, "bulk-works", false, "a bulk request for several ids works, in place of 500")
}

func (s *simulateSettings) bindLive(flags *pflag.FlagSet) {
	l := &s.config.Live
	flags.Float64Var(&l.Rate, "live-rate", 0, "events a second that go on after --events of them")
	s.liveStart.bind(flags, "live-start", "time", "where --events end, 30 days after the first, and those of --live-rate begin (default: now)", readInstant)
	flags.Float64Var(&l.Forget, "forget-rate", 0, "events a second that are deleted from --live-start on, the oldest first")
	flags.Float64Var(&l.LateShare, "late-share", 0, "share of the new events that are served some time after their timestamp")
	flags.DurationVar(&l.LateBy, "late-by", 0, "how long after it on average, exponentially distributed")
	flags.DurationVar(&l.LateMost, "late-most", 0, "how long after it at most (default: five times --late-by)")
}

// began returns when the growing of a live simulation begins; of one that stands still, no time.
func (s *simulateSettings) began() time.Time {
	switch {
	case s.liveStart.set:
		return s.liveStart.value.Time()
	case s.config.Live.Rate > 0, s.config.Live.Forget > 0:
		return time.Now()
	}
	return time.Time{}
}

func (s *simulateSettings) bindFaults(flags *pflag.FlagSet) {
	f := &s.config.Faults
	flags.Float64Var(&f.EarlyEnd, "early-end", 0, "share of the pages that say there is no more")
	flags.Float64Var(&f.CutBody, "cut-body", 0, "share of the pages cut in the middle")
	flags.Float64Var(&f.ServerError, "server-error", 0, "share of the page requests answered with a server error")
	flags.Float64Var(&f.Truncated, "truncated", 0, "share of the pages that lack their second half and look whole")
	flags.Float64Var(&f.NullBody, "null-body", 0, "share of the pages answered with 200 and null")
	flags.Float64Var(&f.Duplicate, "duplicate", 0, "share of the pages with some of their events twice")
	flags.Float64Var(&f.ExpiredCursor, "expired-cursor", 0, "share of the good cursors that are refused as expired")
	flags.Float64Var(&f.RevokedToken, "revoked-token", 0, "share of the good tokens that are refused")
	flags.Float64Var(&f.Slow, "slow", 0, "share of the answers that come late")
	flags.DurationVar(&f.SlowBy, "slow-by", 5*time.Second, "how much later they come")
}

// merge returns the profile with what was set by flag or environment.
func (s *simulateSettings) merge(flags *pflag.FlagSet) (apisim.Config, error) {
	profile, err := apisim.Profile(s.profile)
	if err != nil {
		return profile, usage("--profile: %w", err)
	}
	merged := s.config
	merged.CursorLife, merged.TokenLife = cmp.Or(merged.CursorLife, profile.CursorLife), cmp.Or(merged.TokenLife, profile.TokenLife)
	merged.List, merged.Feed = profile.List, profile.Feed
	merged.Sessions, merged.Metrics, merged.Bulk = profile.Sessions, profile.Metrics, profile.Bulk
	merged.CacheLife, merged.QueryLimit = cmp.Or(merged.CacheLife, profile.CacheLife), cmp.Or(merged.QueryLimit, profile.QueryLimit)
	merged.Latency = profile.Latency
	if s.list.set {
		merged.List = asLimit(s.list.value, false)
	}
	if s.feed.set {
		merged.Feed = asLimit(s.feed.value, true)
	}
	if flags.Changed("latency") {
		merged.Latency = apisim.Latency{Page: s.latency}
	}
	if s.skewAt.set {
		merged.SkewStart = s.skewAt.value.Time()
	}
	merged.Ties, merged.Newest = s.tie.value, s.began()
	switch { // what would be ignored without a word
	case s.liveStart.set && s.config.Live == (apisim.Live{}):
		return merged, usage("--live-start: nothing goes on from there without --live-rate or --forget-rate")
	case s.at.set && !s.truth:
		return merged, usage("--at: only --truth looks at another time than now")
	}
	return merged, nil
}

// asLimit turns a limit of the client's kind into one of the simulator's.
func asLimit(l quota.Limit, hidden bool) apisim.Limit {
	if l.N <= 0 {
		return apisim.Limit{}
	}
	return apisim.Limit{Requests: l.N, Window: l.Window, Hidden: hidden}
}

// simulated turns a limit of the simulator into one that the client is told.
func simulated(l apisim.Limit) quota.Limit {
	if l.Requests == 0 {
		return quota.Limit{N: quota.Unlimited}
	}
	return quota.Limit{N: l.Requests, Window: l.Window}
}

func (p *Program) simulate(cmd *cobra.Command, s *simulateSettings) error {
	if s.health != "" {
		return p.askHealth(cmd.Context(), s.health)
	}
	config, err := s.merge(cmd.Flags())
	if err != nil {
		return err
	}
	sim, err := apisim.New(config)
	if err != nil {
		return usage("%w", err)
	}
	if s.truth {
		return p.printTruth(s, sim)
	}
	ctx, release := p.stoppable(cmd.Context())
	defer release()
	return p.serve(ctx, s.listen, config, sim)
}

// serve serves the simulator until ctx ends.
func (p *Program) serve(ctx context.Context, listen string, config apisim.Config, sim http.Handler) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fail(ExitUsage, "choose another --listen", err)
	}
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	p.say("simulating %s on http://%s", config.Source(), listener.Addr())
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// askHealth is the health check of a container that has no other program in it.
func (p *Program) askHealth(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return usage("--health: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fail(ExitUnreachable, "", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fail(ExitUnreachable, "", fmt.Errorf("status %d, %w", resp.StatusCode, err))
	}
	return nil
}

// readTie reads events@time, and adds it to the ties before.
func (s *simulateSettings) readTie(text string) ([]apisim.Tie, error) {
	var events int64
	var at string
	_, err := fmt.Sscanf(text, "%d@%s", &events, &at)
	when, wrong := time.Parse(time.RFC3339Nano, at)
	if err := cmp.Or(err, wrong); err != nil {
		return nil, fmt.Errorf("%q is not of the form 12000@2026-01-10T00:00:00Z: %w", text, err)
	}
	return append(s.tie.value, apisim.Tie{Events: events, At: when}), nil
}

// printTruth prints what a table must hold after a right run that has read all that was there at an instant.
func (p *Program) printTruth(s *simulateSettings, sim *apisim.Server) error {
	start, end := int64(apisim.Past), int64(apisim.Future)
	if s.from.set {
		start = int64(s.from.value)
	}
	if s.to.set {
		end = int64(s.to.value)
	}
	at := time.Now()
	if s.at.set {
		at = s.at.value.Time()
	}
	sum := sim.Data().At(at).Truth(start, end)
	_, err := fmt.Fprintf(p.Stdout, "%d|%s\n", sum.Rows, sum.Hash)
	return err
}

// SimulatorConfig returns the simulator that `sluice simulate` starts with these flags.
func SimulatorConfig(args []string) (apisim.Config, error) {
	var s simulateSettings
	flags := pflag.NewFlagSet("simulate", pflag.ContinueOnError)
	s.bind(flags)
	if err := flags.Parse(args); err != nil {
		return apisim.Config{}, err
	}
	return s.merge(flags)
}
