package datasync

import (
	"testing"
	"testing/synctest"
	"time"

	"sluice/fetch/apisim"
	"sluice/shard"
)

// A token that is due to be renewed, but whose renewal has just failed, is still good. All fetchers asked again and again for
// it, without a pause, until the next try was due: in virtual time for ever. The simulation found it.
func TestFailedRenewalDoesNotSpin(t *testing.T) {
	watchdog := time.AfterFunc(time.Minute, func() { panic("spins") }) // outside of the bubble, whose time would stand still
	defer watchdog.Stop()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scene{api: apisim.Config{Events: 500, TokenLife: 100 * time.Second}, caps: both})
		defer w.end()
		place := shard.Position{End: shard.InstantOf(w.sim.Config().Newest)} // only the stream can be asked for it
		w.must(w.walk(place, 1))
		time.Sleep(85 * time.Second)
		w.sim.Script(apisim.Access, apisim.Repeat(3, apisim.Status(503))...)
		pages, err := w.walk(place, 1)
		if err != nil || pages[0].Endpoint != Stream {
			t.Fatalf("%d pages, %v", len(pages), err)
		}
		if n := w.counts(apisim.Access).Requests; n != 2 {
			t.Errorf("%d requests for access, want the first and one to renew it", n)
		}
	})
}
