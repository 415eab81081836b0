package datasync

import (
	"errors"
	"testing"

	"sluice/fetch/apisim"
	"sluice/shard"
)

// What a status means to those above: the key is refused, the fault passes, or the shard fails.
func TestStatusSaysWhatARetryWouldMend(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   func(*testing.T, error)
	}{
		"401": {401, func(t *testing.T, err error) { wantStop(t, err, shard.Refused) }},
		"403": {403, func(t *testing.T, err error) { wantStop(t, err, shard.Refused) }},
		"404": {404, wantPermanent},
		"418": {418, wantPermanent},
		"307": {307, wantPermanent},
		"500": {500, func(t *testing.T, err error) { wantTransient(t, err) }},
		"504": {504, func(t *testing.T, err error) { wantTransient(t, err) }},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly}, func(w *world) {
				w.sim.Script(apisim.List, apisim.Repeat(10, apisim.Status(c.status))...)
				_, err := w.ask()
				c.want(w.t, err)
			})
		})
	}
}

func wantStuck(t *testing.T, err error) {
	t.Helper()
	var stuck *shard.StuckError
	if !errors.As(err, &stuck) {
		t.Fatalf("%v (%#v): want a fault that a few attempts may mend", err, err)
	}
}
