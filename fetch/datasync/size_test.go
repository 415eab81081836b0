package datasync

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/fetch/apisim"
	"sluice/fetch/hostile"
	"sluice/shard"
)

// large replaces records of an API by ones with properties of so many bytes.
func large(c apisim.Config, bytes int, serials ...int64) apisim.Config {
	data, err := apisim.NewData(c)
	if err != nil {
		panic(err)
	}
	c.Records = map[int64][]byte{}
	for _, serial := range serials {
		e := data.Event(serial)
		c.Records[serial] = hostile.Padded(e.ID.String(), e.AtMS, bytes)
	}
	return c
}

// TestPagesTooLargeAreAskedForInSmallerParts: a page with records of some hundred KiB each was larger than a body may be, and
// failed its shard; as smaller pages all of its records can be read.
func TestPagesTooLargeAreAskedForInSmallerParts(t *testing.T) {
	api := apisim.Config{Events: 1000, PageCap: 200}
	var serials []int64
	for i := range int64(100) {
		serials = append(serials, 500+i)
	}
	play(t, scene{api: large(api, 400<<10, serials...), caps: listOnly}, func(w *world) {
		pages := w.must(w.walk(shard.Position{End: shard.Future}, 1000))
		w.wantEvents(pages, w.truth())
		if asked := w.counts(apisim.List).Requests; asked > 20 {
			t.Errorf("%d requests", asked)
		}
	})
}

// TestARecordLargerThanABodyFailsItsShardOnly: its neighbours are read, and the fault is one that stays.
func TestARecordLargerThanABodyFailsItsShardOnly(t *testing.T) {
	api := apisim.Config{Events: 1000, PageCap: 200}
	play(t, scene{api: large(api, 17<<20, 777), caps: listOnly}, func(w *world) {
		pages, err := w.walk(shard.Position{End: shard.Future}, 1000)
		wantStuck(t, err)
		w.wantEvents(pages, w.truth()[:1000-777-1])
		if !strings.Contains(err.Error(), "larger than a page may be") {
			t.Error(err)
		}
	})
}

// TestABodyThatSaysItIsTooLargeIsNotRead: it used to be read up to the bound, for each of several fetchers at a time.
func TestABodyThatSaysItIsTooLargeIsNotRead(t *testing.T) {
	var sent atomic.Int64
	endless := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("Content-Length", strconv.Itoa(1<<40))
		for chunk := make([]byte, 64<<10); ; sent.Add(int64(len(chunk))) {
			if _, err := rw.Write(chunk); err != nil {
				return
			}
		}
	}
	play(t, scene{answer: endless, caps: listOnly}, func(w *world) {
		_, err := w.ask()
		wantStuck(t, err)
		if n := sent.Load(); n > 8<<20 {
			t.Errorf("%d MiB were taken", n>>20)
		}
	})
}
