package page

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/view"
	"sluice/sink"
)

var noon = time.Date(2026, 1, 27, 12, 0, 0, 0, time.UTC)

// running is a run of some shards: every hundredth is active, and the newer ones are done.
func running(shards int) view.View {
	v := view.View{
		Job: "default", Phase: view.Ingesting, Started: noon.Add(-time.Minute), At: noon, Total: 1_000_000, Stored: 500_000,
		Oldest: noon.Add(-240 * time.Hour), Newest: noon,
	}
	for i := range shards {
		s := view.Shard{Number: i + 1, State: "pending", From: float64(i) / float64(shards), To: float64(i+1) / float64(shards)}
		if i > shards/2 {
			s.State, s.Read, s.Commit = "done", 1, noon
		}
		if i%100 == 50 {
			s.State, s.Read, s.Commit = "running", 0.5, noon
		}
		v.Shards = append(v.Shards, s)
	}
	return v
}

// message is an event that a viewer is sent.
type message struct {
	Run   string
	Over  bool
	Parts map[string]string
	bytes int
}

// listen returns a function that waits for the next message of a board's stream.
func listen(t *testing.T, board *view.Board) func() message {
	t.Helper()
	server := httptest.NewServer(Handler(board))
	t.Cleanup(server.Close)
	resp, err := http.Get(server.URL + "/live")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() }) // before the server, which waits for its streams
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4<<20)
	return func() (m message) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &m); err != nil {
					t.Fatal(err)
				}
				m.bytes = len(data)
				return m
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return m
	}
}

// TestOnlyWhatChangesIsSent: a new viewer gets everything, and after that, of a thousand shards, only what changed in a second.
func TestOnlyWhatChangesIsSent(t *testing.T) {
	v := running(1000)
	board := view.NewBoard(v)
	next := listen(t, board)
	if first := next(); first.Parts["shards"] == "" || first.Parts["progress"] == "" || first.bytes > 64<<10 {
		t.Errorf("%d bytes and %d parts at first", first.bytes, len(first.Parts))
	}
	v = running(1000)
	v.At = v.At.Add(time.Second)
	v.Shards[150].Read, v.Shards[150].Commit = 0.6, v.At
	board.Publish(v)
	then := next()
	for _, id := range []string{"w151", "l151", "progress", "stamp"} {
		if then.Parts[id] == "" {
			t.Errorf("%s has changed and was not sent", id)
		}
	}
	for _, id := range []string{"shards", "line", "letters", "warnings", "quotas", "phase", "l251"} {
		if then.Parts[id] != "" {
			t.Errorf("%s was sent and has not changed: %s", id, then.Parts[id])
		}
	}
	if then.bytes > 10<<10 {
		t.Errorf("a second cost %d bytes", then.bytes)
	}
	v = running(1000)
	v.Shards[150].State = "done" // its row is gone
	board.Publish(v)
	if m := next(); m.Parts["shards"] == "" || strings.Contains(m.Parts["shards"], "w151") {
		t.Errorf("the row of a shard that is done stays: %v", m.Parts["shards"])
	}
}

// TestAFrameIsMadeOnce: viewers of the same moment get the same bytes.
func TestAFrameIsMadeOnce(t *testing.T) {
	board := view.NewBoard(running(8))
	s := &server{board: board, newest: &frame{}}
	one, _, _ := s.frame()
	other, _, err := s.frame()
	if one != other || err != nil {
		t.Errorf("two frames of one view: %v", err)
	}
	board.Publish(running(9))
	if newer, _, _ := s.frame(); newer == one || newer.number != one.number+1 {
		t.Errorf("frame %d follows %d", newer.number, one.number)
	}
}

// TestASplitWindowIsDrawnWhereItWas: a list with other items is sent whole, in the order of the windows.
func TestASplitWindowIsDrawnWhereItWas(t *testing.T) {
	v := running(3)
	board := view.NewBoard(v)
	next := listen(t, board)
	next()
	v = running(3)
	late := v.Shards[1]
	late.Number, late.To = 4, (late.From+late.To)/2
	v.Shards[1].From = late.To
	v.Shards = append(v.Shards[:1], append([]view.Shard{late}, v.Shards[1:]...)...)
	board.Publish(v)
	line := next().Parts["line"]
	was := -1
	for _, id := range []string{"l1", "l4", "l2", "l3"} {
		at := strings.Index(line, `id="`+id+`"`)
		if at <= was {
			t.Fatalf("%s is not where it should be: %s", id, line)
		}
		was = at
	}
}

// TestWhateverIsSaidIsText: names, errors and warnings come from outside, and stay text in the page, the stream and the report.
func TestWhateverIsSaidIsText(t *testing.T) {
	const hostile = `</script><script>alert(1)</script><img src=x onerror=alert(1)>"'&{{.}}`
	v := running(4)
	v.Job, v.Source, v.Version, v.Verdict, v.Limit = hostile, hostile, hostile, hostile, hostile
	v.Shards[0].State, v.Shards[0].Error, v.Shards[0].Start, v.Shards[0].Proof = hostile, hostile, hostile, hostile
	v.Quotas = []view.Quota{{Endpoint: hostile, Known: hostile, Limit: 5, Recent: 1}}
	v.Letters, v.Warnings = []sink.ReasonCount{{Reason: hostile, Count: 3}}, []view.Warning{{At: noon, Level: hostile, Text: hostile}}
	for i := range 4 {
		v.History = append(v.History, view.Point{At: noon.Add(time.Duration(i) * time.Second), Recent: []int{1}, Allowed: []int{5}})
	}
	f, err := (&frame{}).next(&v)
	if err != nil {
		t.Fatal(err)
	}
	var report strings.Builder
	if err := Report(&report, &v, []Facts{{hostile, []Fact{{hostile, hostile}}}}); err != nil {
		t.Fatal(err)
	}
	for name, html := range map[string]string{"page": string(f.page), "stream": string(f.step), "report": report.String()} {
		if strings.Contains(html, "<img") || strings.Contains(html, "<script>") || strings.Contains(html, "ZgotmplZ") {
			t.Errorf("the %s has foreign markup", name)
		}
	}
	if n := strings.Count(string(f.page), "alert(1)&lt;"); n < 10 {
		t.Errorf("the page shows only %d of the texts", n)
	}
}
