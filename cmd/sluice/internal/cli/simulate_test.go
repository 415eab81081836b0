package cli

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/fetch/apisim"
)

func mergedSimulation(t *testing.T, args ...string) apisim.Config {
	t.Helper()
	config, err := SimulatorConfig(args)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// The bench serves pages of a given latency: a jitter or a ceiling of the profile beside it would bend its curves.
func TestLatencyIsAllTheLatencyThereIs(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{apisim.Demo, apisim.Challenge, apisim.Unlimited} {
		if l := mergedSimulation(t, "--profile="+profile, "--latency=200ms").Latency; l != (apisim.Latency{Page: 200 * time.Millisecond}) {
			t.Errorf("%s with --latency=200ms: %+v", profile, l)
		}
		want, err := apisim.Profile(profile)
		if l := mergedSimulation(t, "--profile="+profile).Latency; err != nil || l != want.Latency {
			t.Errorf("%s without it: %+v, %v", profile, l, err)
		}
	}
}

// TestEveryFactOfTheSimulatorIsAFlag: with a value for every flag, each field of its Config and of its Faults has one.
func TestEveryFactOfTheSimulatorIsAFlag(t *testing.T) {
	t.Parallel()
	config := mergedSimulation(t, strings.Fields(`--events=10 --seed=2 --skew=.1 --skew-at=2026-01-02 --tie=3@2026-01-10T00:00:00Z --wrong=.1 --malformed=.1
		--list=1/1s --feed=1/1s --latency=1ms --page-cap=1 --flat --gzip --window=both --since-exclusive --until-exclusive --opaque --gate=shut
		--cursor-life=1s --token-life=1s --key=k --algorithm=fixed --retry-after=body --feed-shared --free-hits --dead-token-free --query-limit=1
		--query-separate --list-default=1 --feed-default=1 --cache-life=1s --bad-cursor=502 --expired-as-502 --teapot --total-error=1 --key-life=1s
		--key-revoked-after=1 --open-stats --bulk-works --early-end=.1 --cut-body=.1 --server-error=.1 --truncated=.1 --null-body=.1 --duplicate=.1
		--expired-cursor=.1 --revoked-token=.1 --slow=.1 --slow-by=1s --live-rate=1 --live-start=2026-01-01 --late-share=.1 --late-by=1s --late-most=2s --forget-rate=1`)...)
	for _, all := range []reflect.Value{reflect.ValueOf(config), reflect.ValueOf(config.Faults), reflect.ValueOf(config.Live)} {
		for i := range all.NumField() {
			name := all.Type().Field(i).Name
			if all.Field(i).IsZero() && name != "Records" && name != "Oldest" { // one is for tests, the other follows from --live-start
				t.Errorf("no flag sets %s.%s", all.Type(), name)
			}
		}
	}
}
