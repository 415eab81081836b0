package datasync

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"sluice/fetch/apisim"
	"sluice/fetch/quota"
	"sluice/shard"
)

// refusing answers the paths that it is told with a status.
func refusing(status int, header []string, paths ...string) func(http.Handler, http.ResponseWriter, *http.Request) {
	return func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		for _, path := range paths {
			if r.URL.Path == path {
				answered(status, jsonType, `{"error":"x","message":"x","code":7}`, header...)(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	}
}

func each(t *testing.T, statuses []int, test func(*testing.T, int)) {
	for _, status := range statuses {
		t.Run(fmt.Sprint(status), func(t *testing.T) { test(t, status) })
	}
}

// insist asks for a page until there is one, or a fault that does not pass, as a shard does.
func (w *world) insist(from shard.Position, most time.Duration) ([]shard.Page, error) {
	for began := time.Now(); ; {
		pages, err := w.walk(from, 1)
		if err == nil || stops(err) || time.Since(began) > most {
			return pages, err
		}
		time.Sleep(max(time.Second, requestedPause(err)))
	}
}

// TestAKeyIsWrongAfterThreeRefusals over ten seconds, by list and stream: one 401 ended the run.
func TestAKeyIsWrongAfterThreeRefusals(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: both, between: refusing(401, nil, accessPath, listPath)}, func(w *world) {
		began := time.Now()
		_, err := w.insist(top, time.Minute)
		wantStop(w.t, err, shard.Refused)
		if took := time.Since(began); took < keyTime || took > 3*keyTime || w.Requests() > 5 {
			w.t.Errorf("after %v and %d requests", took, w.Requests())
		}
	})
}

// TestARefusalAtTheListAloneLeavesTheStream: whatever the list answers, the stream goes on, and the list is not hammered.
func TestARefusalAtTheListAloneLeavesTheStream(t *testing.T) {
	each(t, []int{401, 403, 404, 405, 410, 451}, func(t *testing.T, status int) {
		play(t, scene{api: apisim.Config{Events: 5000}, caps: both, between: refusing(status, nil, listPath)}, func(w *world) {
			w.wantEvents(w.must(w.walk(top, forever)), w.truth())
			time.Sleep(time.Hour)
			for range 100 {
				w.must(w.walk(top, 1))
			}
			if list := w.Traffic().Doors[List]; list.Requests > 20 {
				w.t.Errorf("%d requests to the list", list.Requests)
			}
		})
	})
}

// TestARefusalForLackOfQuotaHasManyForms: a 403 with Retry-After read "check TARGET_API_KEY".
func TestARefusalForLackOfQuotaHasManyForms(t *testing.T) {
	for name, fault := range map[string]http.HandlerFunc{
		"403 with Retry-After":     answered(403, jsonType, `{}`, "Retry-After", "20"),
		"403 by its code":          answered(403, jsonType, `{"code":"RATE_LIMIT_EXCEEDED","rateLimit":{"retryAfter":"20"}}`),
		"503 with Retry-After":     answered(503, "text/html", ``, "Retry-After", "20"),
		"409 with Retry-After":     answered(409, jsonType, `{}`, "Retry-After", "20"),
		"429 with a date as epoch": answered(429, jsonType, `{}`, "Retry-After", "946684820"),
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			known := quota.Config{Quotas: Quotas(quota.Limit{N: 100, Window: time.Minute}, quota.Limit{N: quota.Unlimited})}
			play(t, scene{api: apisim.Config{Events: 500}, caps: listOnly, pacer: known, between: func(next http.Handler, w http.ResponseWriter, r *http.Request) {
				if asked++; asked == 5 {
					w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
					fault(w, r)
					return
				}
				next.ServeHTTP(w, r)
			}}, func(w *world) {
				for range 4 {
					w.must(w.walk(top, 1))
				}
				began := time.Now()
				if _, err := w.insist(top, time.Minute); err != nil || time.Since(began) < 20*time.Second || time.Since(began) > 2*time.Minute {
					w.t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// TestOneRefusalAtTheSurveyIsForgotten: a single 403 or 404 of the stream's access was kept for the job's life.
func TestOneRefusalAtTheSurveyIsForgotten(t *testing.T) {
	each(t, []int{401, 403, 404, 503}, func(t *testing.T, status int) {
		play(t, scene{api: apisim.Config{Events: 5000}}, func(w *world) {
			w.sim.Script(apisim.Access, apisim.Status(status))
			w.sim.Script(apisim.List, apisim.Status(status))
			w.sim.Script(apisim.Feed, apisim.Status(status))
			if found, _ := w.surveyed(shard.Past); found.Total != 5000 || !w.Capabilities().StreamAccess || !w.Capabilities().UntilStream {
				w.t.Errorf("%+v, %+v", found, w.Capabilities())
			}
		})
	})
}

// TestAStreamThatWasOutOfReachComesBack: what an earlier run was refused is tried again, and used when it works.
func TestAStreamThatWasOutOfReachComesBack(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 5000}, caps: Capabilities{PageSize: 50}}, func(w *world) {
		byTime := shard.Position{End: w.truth()[0].At + 1}
		if page := w.must(w.walk(byTime, 1))[0]; page.Endpoint != List {
			w.t.Errorf("a page from the %s", page.Endpoint)
		}
		time.Sleep(recallPause)
		w.must(w.walk(byTime, 1))
		if page := w.must(w.walk(byTime, 1))[0]; page.Endpoint != Stream || page.Start != shard.ByUntil {
			w.t.Errorf("a page from the %s", page.Endpoint)
		}
	})
}

// TestAClosedStreamDoesNotStopTheList: a 429 of an hour at the token's renewal ended the run.
func TestAClosedStreamDoesNotStopTheList(t *testing.T) {
	g := &gate{}
	play(t, scene{api: apisim.Config{Events: 5000, Window: apisim.WindowBoth}, between: g.between}, func(w *world) {
		if _, _ = w.surveyed(shard.Past); !w.Capabilities().UntilList || !w.Capabilities().UntilStream {
			w.t.Fatalf("%+v", w.Capabilities())
		}
		g.set(answered(429, jsonType, `{}`, "Retry-After", "3600"))
		time.Sleep(10 * time.Minute) // the token is dead
		asked := g.asked.Load()
		for range 100 {
			if page := w.must(w.walk(shard.Position{End: w.truth()[0].At + 1}, 1))[0]; page.Endpoint != List {
				w.t.Errorf("a page from the %s", page.Endpoint)
			}
			time.Sleep(time.Second)
		}
		if n := g.asked.Load() - asked; n != 1 {
			w.t.Errorf("access was asked for %d times in an hour", n)
		}
	})
}

// TestAStoredCursorDies: a cursor of an earlier process was asked for in every later run, whatever the API answered.
func TestAStoredCursorDies(t *testing.T) {
	each(t, []int{400, 404, 405, 409, 410, 418, 422, 500, 502, 503}, func(t *testing.T, status int) {
		play(t, scene{api: apisim.Config{Events: 5000}, caps: both, between: func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("cursor") == "stored" {
				answered(status, jsonType, `{"code":"X"}`)(w, r)
				return
			}
			next.ServeHTTP(w, r)
		}}, func(w *world) {
			began := time.Now()
			stored := shard.Position{End: shard.Future, Cursor: "stored", CursorExpires: time.Now().Add(time.Hour)}
			if _, err := w.walk(stored, 1); !errors.Is(err, shard.ErrCursorDead) || time.Since(began) > time.Minute {
				w.t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	})
}

// TestACursorOfUnknownLifeIsOfOneProcess: it is followed by the process that it was given to, and by no other.
func TestACursorOfUnknownLifeIsOfOneProcess(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 5000, Flat: true}, caps: both}, func(w *world) {
		resume := w.truth()[99]
		page := w.must(w.walk(top, 1))[0]
		own := shard.Position{End: shard.Future, Resume: resume, Cursor: page.Cursor}
		if got := w.must(w.walk(own, 1))[0]; got.Start != shard.ByCursor {
			w.t.Errorf("its own is asked for in another way: %v", got.Start)
		}
		w.ladder.own = nil
		if got := w.must(w.walk(own, 1))[0]; got.Start != shard.ByUntil {
			w.t.Errorf("that of another process is asked for by %v", got.Start)
		}
	})
}
