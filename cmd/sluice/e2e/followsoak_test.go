package e2e

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/cli"
	"sluice/fetch/apisim"
)

var followTime = flag.Duration("follow", 24*time.Second, "how long TestFollowSoak follows; make follow-soak: 15 minutes")

// shortFollow is a time below which the API is as fast as it can be: with true quotas a minute would be but one refill.
const shortFollow = 5 * time.Minute

// TestFollowSoak follows a source that goes on, with events that come late, some of them later than the lookback reaches. In the
// middle the API is away, the database is, the process is killed and stopped, and started again. At the end only what came too
// late may be missing, as Sluice says, and a backfill brings it.
func TestFollowSoak(t *testing.T) {
	t.Parallel()
	f := newFollowSoak(t, *followTime)
	f.run()
	f.endsRight()
	t.Logf("\n%s", f.report())
	f.isMended()
}

// followSoak is a follow for a time that is cut into units, of which everything is so many long.
type followSoak struct {
	*stage
	unit     time.Duration // 10 s of a quarter of an hour
	began    time.Time
	live     time.Time // when the source begins to grow
	simulate []string  // the flags of the API
	follow   []string
	api      *process
	front    *front
	process  *process  // the follow
	printed  []string  // by the processes before
	outages  []stretch // what was away, and until when the table could not know
}

// stretch is a time in which something was away.
type stretch struct {
	what     string
	from, to time.Time
}

// What is how many units long or rare.
const (
	followUnits   = 90
	unitsIdle     = 12 // before the source goes on
	unitsOutage   = 9
	unitsLookback = 30
	unitsLate     = 8  // by which late events are late on average
	unitsLatest   = 60 // at most
	unitsLag      = 3
)

func newFollowSoak(t *testing.T, length time.Duration) *followSoak {
	t.Helper()
	prebuild(t)
	f := &followSoak{unit: length / followUnits, stage: newStage(newWorld(t, history, nil)), front: &front{}}
	server := httptest.NewServer(f.front)
	t.Cleanup(server.Close)
	f.env[cli.EnvAPI] = server.URL
	if length >= shortFollow { // the quotas are learned, as they are from the real API
		delete(f.env, "SLUICE_LIST_LIMIT")
		delete(f.env, "SLUICE_STREAM_LIMIT")
	}
	f.began = time.Now()
	f.live = f.began.Add(unitsIdle * f.unit).Truncate(time.Millisecond)
	f.simulate = []string{"simulate", "--profile=challenge", "--events=" + strconv.Itoa(history), "--live-rate=50", "--late-share=0.1",
		"--live-start=" + f.live.UTC().Format(time.RFC3339Nano), f.flag("late-by", unitsLate), f.flag("late-most", unitsLatest)}
	f.follow = []string{"follow", "--json", "--log-level=debug", "--shards=4", f.flag("lookback", unitsLookback),
		f.flag("safety-lag", unitsLag), fmt.Sprintf("--every=%s", max(time.Second, f.unit))}
	if length < shortFollow {
		f.simulate = append(f.simulate, "--list=none", "--feed=none", "--latency=20ms")
	}
	f.knowAPI()
	f.startAPI()
	return f
}

func (f *followSoak) flag(name string, units int) string {
	return fmt.Sprintf("--%s=%s", name, time.Duration(units)*f.unit)
}

// knowAPI makes what `sluice simulate` makes of its flags, to know what it will serve.
func (f *followSoak) knowAPI() {
	f.t.Helper()
	config, err := cli.SimulatorConfig(f.simulate[1:])
	if err != nil {
		f.t.Fatal(err)
	}
	if f.sim, err = apisim.New(config); err != nil {
		f.t.Fatal(err)
	}
	f.env["SLUICE_SOURCE"] = config.Source()
}

// run follows through all that goes wrong.
func (f *followSoak) run() {
	f.start()
	for _, step := range []struct {
		at int // units after the begin
		do func()
	}{
		{18, func() { f.away("the API", f.apiAway) }},
		{36, func() { f.away("the database", f.crash) }},
		{54, func() { f.away("the process, killed", func(time.Duration) { f.stop(syscall.SIGKILL); f.start() }) }},
		{66, func() { f.away("the process, stopped", func(time.Duration) { f.stop(syscall.SIGTERM); f.start() }) }},
	} {
		f.sleepUntil(step.at)
		step.do()
	}
	f.sleepUntil(followUnits)
	f.stop(syscall.SIGTERM)
}

func (f *followSoak) sleepUntil(units int) {
	time.Sleep(time.Until(f.began.Add(time.Duration(units) * f.unit)))
}

// away takes something away, and notes until when the table lags because of it: until the first round after it is done.
func (f *followSoak) away(what string, do func(time.Duration)) {
	f.t.Helper()
	from := time.Now()
	do(unitsOutage * f.unit)
	back := time.Now()
	f.await(what+" was away, and no round was done after it", func() bool {
		return f.number(`select count(*) from ingestion_rounds where started_at > $1 and finished_at is not null`, back) > 0
	})
	f.outages = append(f.outages, stretch{what, from, time.Now()})
}

// await waits for something that the follow must bring about; its pauses grow to half a minute while something is away.
func (f *followSoak) await(otherwise string, enough func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !enough(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-f.process.exited:
			f.t.Fatalf("the follow ended by itself:\n%s", lastLines(f.process.out.String()))
		default:
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s:\n%s", otherwise, lastLines(f.process.out.String()))
		}
	}
}

func (f *followSoak) start() { f.process = f.world.start(f.follow...) }

// stop ends the follow with a signal, and keeps what it printed.
func (f *followSoak) stop(how syscall.Signal) {
	f.t.Helper()
	if err := f.process.Process.Signal(how); err != nil {
		f.t.Fatalf("the follow ended by itself: %v\n%s", err, lastLines(f.process.out.String()))
	}
	code := f.process.code(f.t, 30*time.Second)
	if ok := []int{cli.ExitOK, cli.ExitLeft, cli.ExitDoubt}; how == syscall.SIGTERM && !slices.Contains(ok, code) {
		f.t.Errorf("stopped, the follow ended with %d:\n%s", code, lastLines(f.process.out.String()))
	}
	f.printed = append(f.printed, f.process.out.String())
}

func lastLines(out string) string { return out[max(0, len(out)-4000):] }
