package e2e

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sluice/cmd/sluice/internal/cli"
	"sluice/cmd/sluice/internal/terminal"
	"sluice/fetch/apisim"
)

// begun is a command line that runs beside the test.
type begun struct {
	stop context.CancelFunc
	out  *locked
	over chan int
}

// begin starts a command line, which is stopped with the test at the latest.
func (w *world) begin(args ...string) *begun {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	b := &begun{stop: stop, out: &locked{}, over: make(chan int, 1)}
	console := terminal.NewConsole(b.out)
	p := &cli.Program{
		Stdout: io.Discard, Stderr: console, Exit: func(int) {},
		Environ: func(name string) (string, bool) { v, ok := w.env[name]; return v, ok },
	}
	var running sync.WaitGroup
	running.Go(func() { b.over <- p.Main(ctx, args) })
	w.t.Cleanup(func() {
		stop()
		running.Wait()
		w.guard("what a run said", b.out.String())
	})
	return b
}

var pageAddress = regexp.MustCompile(`look at the run: (http://\S+/)`)

// address waits until the run has printed the address of its page.
func (b *begun) address(t *testing.T) string {
	t.Helper()
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if m := pageAddress.FindStringSubmatch(b.out.String()); m != nil {
			return m[1]
		}
		select {
		case code := <-b.over:
			t.Fatalf("exit code %d before there was a page:\n%s", code, b.out)
		default:
		}
	}
}

// TestThePageFollowsARun opens the page in a real browser during a run and after it.
func TestThePageFollowsARun(t *testing.T) {
	w := newWorld(t, 30_000, func(c *apisim.Config) {
		c.PageCap, c.MalformedShare = 250, 0.0012
		c.Latency = apisim.Latency{Page: 200 * time.Millisecond, Jitter: 200 * time.Millisecond, Scale: 1}
	})
	w.env["SLUICE_SOURCE"] = "https://api.example.com"
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "10/6s", "30/6s"
	tab := browser(t)
	b := w.begin("run", "--shards=8", "--fetchers=3", "--max-dead-letters=1000", "--listen=127.0.0.1:0", "--linger=5m")
	url := b.address(t)
	during := chromedp.Steps(
		at(1280, 900, "light"), chromedp.Navigate(url),
		until(phaseIs("ingesting")),
		until(`document.querySelectorAll("#shards tr").length >= 8 && document.querySelectorAll("#line .shard").length >= 8`),
		until(`parseFloat(document.getElementById("total").getAttribute("aria-valuenow")) > 50 && document.querySelectorAll("#letters li b").length > 0`),
		until(`document.querySelectorAll("#charts path.one").length === 2 && document.querySelectorAll("#charts path.two").length === 1`),
		picture(t, "page"), at(1280, 900, "dark"), picture(t, "page-dark"), at(360, 780, "light"), fits(t), picture(t, "page-narrow"),
	)
	after := chromedp.Steps(
		until(phaseIs("complete")),
		until(`!document.getElementById("verdict").hidden && document.getElementById("stored").textContent.length > 5`),
		until(`document.querySelectorAll("#shards tr").length >= 8 && document.querySelectorAll("#shards .state:not(.done)").length === 0 && document.getElementById("notice").hidden`),
		until(`document.querySelectorAll("#letters li b").length > 0`),
		at(360, 780, "dark"), fits(t), picture(t, "after-narrow-dark"), at(360, 780, "light"), picture(t, "after-narrow"),
		at(1280, 900, "light"), byKeyboard(t), picture(t, "after"), at(1280, 900, "dark"), picture(t, "after-dark"),
		plain(), chromedp.Navigate(url), picture(t, "after-without-javascript"),
	)
	if err := chromedp.Do(tab, during, after); err != nil {
		t.Fatalf("%v\n%s", err, b.out)
	}
	if html := get(t, url, ""); strings.Count(html, `class="state done"`) < 8 {
		t.Errorf("without JavaScript the page does not show 8 shards:\n%s", html)
	}
	b.stop()
	if code := <-b.over; code != cli.ExitOK {
		t.Errorf("exit code %d", code)
	}
}

// A source's name comes from outside, and must stay text.
const sharpName = `<img src=x onerror=alert(1)>"'&`

// TestThePageOfASplitRun opens the page in the middle of a run of 64 shards, of which the one with half of the events is being split: the
// parts name their shard, and everything is legible, in light and in dark mode, and on a phone.
func TestThePageOfASplitRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 120_000, func(c *apisim.Config) {
		c.PageCap, c.MalformedShare, c.SkewShare = 250, 0.0008, 0.6
		c.Latency = apisim.Latency{Page: 400 * time.Millisecond, Jitter: 100 * time.Millisecond, Scale: 1}
	})
	w.env["SLUICE_SOURCE"] = sharpName
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "10/1s", "50/1s"
	tab := browser(t)
	b := w.begin("run", "--shards=64", "--fetchers=16", "--max-dead-letters=1000", "--listen=127.0.0.1:0", "--linger=5m")
	url := b.address(t)
	err := chromedp.Do(tab,
		at(1280, 900, "light"), chromedp.Navigate(url),
		until(`document.querySelectorAll("#shards .part").length > 3 && document.querySelectorAll("#line .shard").length > 67`),
		until(`[...document.querySelectorAll("#shards tr")].some(e => e.querySelector(".part") && e.querySelector(".state.running"))`),
		until(`document.querySelectorAll("#letters li b").length > 0`),
		until(`document.querySelectorAll("img").length === 0 && document.getElementById("source").textContent === `+quoted(sharpName)),
		picture(t, "split"), sharp(t, "light"), at(1280, 900, "dark"), picture(t, "split-dark"), sharp(t, "dark"),
		at(360, 780, "light"), fits(t), picture(t, "split-narrow"), at(320, 640, "dark"), fits(t), spoken(t), still(t),
	)
	if err != nil {
		t.Fatalf("%v\n%s", err, b.out)
	}
	b.stop()
	<-b.over
}

// phaseIs is true when the page shows that phase, with any sign before it.
func phaseIs(phase string) string {
	return `document.querySelector("#phase span:last-child").textContent === "` + phase + `"`
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// get returns the answer of the listener; another host is a name that another site made to point here.
func get(t *testing.T, url, host string) string {
	t.Helper()
	answer, err := ask(t.Context(), url, host)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// ask returns the status and the body of an answer.
func ask(ctx context.Context, url, host string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.Status + "\n" + string(body), err
}
