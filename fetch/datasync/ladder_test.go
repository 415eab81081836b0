package datasync

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/fetch/apisim"
	"sluice/fetch/decode"
	"sluice/shard"
)

// A window's end is asked for by timestamp. It is not known whether until includes its own millisecond: the event at the end and
// everything older must come either way.
func TestWalkFromATimestamp(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		t.Run(map[bool]string{false: "inclusive", true: "exclusive"}[exclusive], func(t *testing.T) {
			play(t, scene{api: apisim.Config{Events: 500, UntilExclusive: exclusive}, caps: both}, func(w *world) {
				truth := w.truth()
				end := truth[120].At + 1
				pages := w.must(w.walk(shard.Position{End: end}, forever))
				first := 120
				if !exclusive {
					for first > 0 && truth[first-1].At <= shard.Instant(end.CeilMilli()*1000) {
						first--
					}
				}
				w.wantEvents(pages, truth[first:])
				if pages[0].Start != shard.ByUntil || pages[0].Endpoint != Stream || pages[1].Endpoint != List {
					t.Errorf("first page %v from %v, second from %v", pages[0].Start, pages[0].Endpoint, pages[1].Endpoint)
				}
			})
		})
	}
}

func TestWalkFromACursorOfTheOtherEndpoint(t *testing.T) {
	play(t, scene{api: apisim.Config{Events: 500}, caps: both}, func(w *world) {
		truth := w.truth()
		first := w.must(w.walk(shard.Position{End: truth[0].At + 1}, 1))[0]
		if first.Endpoint != Stream {
			t.Fatalf("the first page came from the %s", first.Endpoint)
		}
		place := shard.Position{End: shard.Future, Cursor: first.Cursor, CursorExpires: first.CursorExpires}
		pages := w.must(w.walk(place, forever))
		w.wantEvents(pages, truth[100:])
		if pages[0].Start != shard.ByCursor || pages[0].Endpoint != List {
			t.Errorf("the second page came from the %s, %v", pages[0].Endpoint, pages[0].Start)
		}
	})
}

// A cursor that we made is trusted only if the page that comes back lies behind its record.
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
		if q := w.ladder.ask(place); q.Note == madeCursor {
			t.Error("cursors are still made")
		}
		time.Sleep(madePause)
		if q := w.ladder.ask(place); q.Note != madeCursor {
			t.Error("cursors are never made again")
		}
	})
}

// FuzzMadeCursor: a cursor of our own has the form of the API's, and leads on after the record that it was made for.
func FuzzMadeCursor(f *testing.F) {
	end := int64(shard.InstantOf(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)))
	f.Add(int64(1769541612369000), []byte("0123456789abcdef"), int64(1769541612))
	f.Add(int64(0), []byte{}, int64(0))
	f.Add(end-1, bytes.Repeat([]byte{0xff}, 16), int64(4e9))
	f.Fuzz(func(t *testing.T, at int64, id []byte, now int64) {
		key := shard.Key{At: shard.Instant(abs(at) % end)}
		copy(key.ID[:], id)
		cursor := makeCursor(key, time.Unix(abs(now)%1e10, 0))
		plain, err := base64.StdEncoding.DecodeString(cursor)
		if err != nil || len(cursor) > decode.MaxCursor {
			t.Fatalf("%q: %v", cursor, err)
		}
		var c struct {
			ID         string
			TS, V, Exp int64
		}
		if err := json.Unmarshal(plain, &c); err != nil || c.V != 2 {
			t.Fatalf("%s: %v", plain, err)
		}
		if uuid.MustParse(c.ID) != key.ID || c.TS != int64(key.At)/1000 || c.Exp-abs(now)%1e10*1000 != 120_000 {
			t.Errorf("%+v leads to %s", key, plain)
		}
	})
}

func abs(n int64) int64 { return max(n, -(n + 1)) }

// A cursor says when its page was looked up, unless it cannot be read.
func TestCursorTellsWhenItWasMade(t *testing.T) {
	recorded := "eyJpZCI6ImVkYTYyOGYzLWMxMjItNDEzZS05NGMwLTAyYTA5MjI3M2Y3NSIsInRzIjoxNzY5NTQxNDM2NzYxLCJ2IjoyLCJleHAiOjE3NzE1NTk3NzcwNjJ9"
	if made, ok := madeAt(recorded); !ok || made.UnixMilli() != 1771559777062 {
		t.Errorf("%v, %v", made, ok)
	}
	for _, cursor := range []string{"", "e30", "bnVsbA", "eyJleHAiOiJzb29uIn0", "eyJleHAiOi0xfQ", "eyJleHAiOjFlNDB9", "opaque!", recorded[:40]} {
		if made, ok := madeAt(cursor); ok {
			t.Errorf("%q: %v, want nothing", cursor, made)
		}
	}
}
