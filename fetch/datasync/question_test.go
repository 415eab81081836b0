package datasync

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"sluice/fetch"
	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
)

// A refusal for want of quota is no fault: it is waited out inside the walk, and the next page is the one that was asked for.
func TestARefusalForWantOfQuotaIsWaitedOut(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly}, func(w *world) {
		w.sim.Script(apisim.List, apisim.Behave(), apisim.Limited(3*time.Second), apisim.Behave())
		w.wantEvents(w.must(w.walk(top, forever)), w.truth())
		if n, tried := w.counts(apisim.List).Limited, w.Traffic().Retries; n != 1 || tried != 0 {
			t.Errorf("%d refusals, %d tries after a fault", n, tried)
		}
	})
}

// A cursor that dies while its walk stands in line for quota must not cost a request.
func TestACursorThatDiesInTheLineAsksNothing(t *testing.T) {
	pacer := quota.Config{Quotas: Quotas(quota.Limit{N: 1, Window: time.Minute}, quota.Limit{N: quota.Unlimited})}
	play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly, pacer: pacer}, func(w *world) {
		page := w.must(w.walk(top, 1))[0]
		expires := time.Now().Add(10 * time.Second)
		_, err := w.walk(shard.Position{End: shard.Future, Cursor: page.Cursor, CursorExpires: expires}, 1)
		if !errors.Is(err, shard.ErrCursorDead) {
			t.Errorf("got %v", err)
		}
		if n := w.counts(apisim.List).Requests; n != 1 {
			t.Errorf("%d requests were sent", n)
		}
	})
}

// Nobody knows when on its way an answer said how long its cursor lives: the second that it took counts as gone.
func TestACursorLivesFromWhenItWasSaid(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly}, func(w *world) {
		left := func() time.Duration { return time.Until(w.must(w.walk(top, 1))[0].CursorExpires) }
		quick := left()
		w.sim.Script(apisim.List, apisim.Delay(3*time.Second))
		if slow := left(); quick-slow != 4*time.Second { // three that the API has counted itself, and the one
			t.Errorf("it is taken to live for %v after a quick answer, for %v after a slow one", quick, slow)
		}
	})
}

// A token must not die on its way to the API: it is renewed while there is time.
func TestNoTokenDiesOnItsWay(t *testing.T) {
	slow := func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			time.Sleep(time.Second)
		}
		next.ServeHTTP(w, r)
	}
	play(t, scene{api: apisim.Config{Events: 500, TokenLife: time.Minute}, caps: both, between: slow}, func(w *world) {
		newest := shard.Position{End: w.truth()[0].At + 1}
		for range 100 {
			w.must(w.walk(newest, 1))
		}
		if n := w.counts(apisim.Feed); n.Failed > 0 || n.Requests != 100 {
			t.Errorf("%d of %d requests came with a dead token", n.Failed, n.Requests)
		}
	})
}

// A cursor that we made is believed only if the page that comes back lies behind its record.
func TestAMadeCursorThatLeadsElsewhereIsNotBelieved(t *testing.T) {
	deaf := func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		query.Del("cursor")
		r.URL.RawQuery = query.Encode()
		next.ServeHTTP(w, r)
	}
	caps := Capabilities{MadeCursors: true, PageSize: 100}
	play(t, scene{api: apisim.Config{Events: 500}, caps: caps, between: deaf}, func(w *world) {
		place := shard.Position{End: shard.Future, Resume: w.truth()[200]}
		if _, err := w.walk(place, 1); !errors.Is(err, shard.ErrCursorDead) {
			t.Errorf("got %v", err)
		}
		if w.Capabilities().MadeCursors {
			t.Error("cursors are still made")
		}
	})
}

// A page whose records cannot be told apart would be the same again: a few times in a row, and its shard fails.
func TestAPageThatCannotBeToldApartIsStuck(t *testing.T) {
	const poison = `{"data":[{"id":"1"},}],"pagination":{"hasMore":true}}`
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(poison))
	}
	play(t, scene{answer: answer, caps: listOnly}, func(w *world) {
		_, err := w.ask()
		var stuck *shard.StuckError
		if !errors.As(err, &stuck) || stuck.Limit != 5 {
			t.Errorf("%v (%#v): want a fault that fails the shard the fifth time", err, err)
		}
	})
}

func TestRequireTLS(t *testing.T) {
	for url, refused := range map[string]bool{
		"http://api.example.com": true, "https://api.example.com": false, "http://127.0.0.1:8080": false, "http://localhost": false,
	} {
		_, err := New(Config{BaseURL: url, Key: canary, RequireTLS: true, Fetch: fetch.Config{Pacer: newTestPacer(t, unlimited)}})
		if (err != nil) != refused {
			t.Errorf("%s: %v", url, err)
		}
	}
}
