package cli

import (
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
