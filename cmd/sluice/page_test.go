package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"sluice/cmd/sluice/internal/terminal"
	"sluice/fetch/apisim"
)

// begun is a command line that runs beside the test.
type begun struct {
	stop context.CancelFunc
	out  *locked
	over chan int
}

// begin starts a command line; it is stopped with the test at the latest.
func (w *world) begin(args ...string) *begun {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	b := &begun{stop: stop, out: &locked{}, over: make(chan int, 1)}
	console := terminal.NewConsole(b.out)
	p := &program{
		stdout: io.Discard, stderr: console, console: console, exit: func(int) {},
		environ: func(name string) (string, bool) { v, ok := w.env[name]; return v, ok },
	}
	var running sync.WaitGroup
	running.Go(func() { b.over <- p.main(ctx, args) })
	w.t.Cleanup(func() {
		stop()
		running.Wait()
		w.guard("what a run said", b.out.String())
	})
	return b
}

var pageAddress = regexp.MustCompile(`look at the run: (http://\S+/)`)

// address waits until the run has said where its page is.
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

// browser starts a headless Chromium and returns a tab of it; what the page complains of fails the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		if os.Getenv("REQUIRE_CHROMIUM") != "" {
			t.Fatal(err)
		}
		t.Skip("there is no chromium here: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil { // it is slow to start, and a run does not wait for it
		t.Fatal(err)
	}
	complaints := chromedp.Console(ctx)
	var listening sync.WaitGroup
	listening.Go(func() {
		for said, err := range complaints {
			if err != nil {
				return // the browser is gone
			}
			t.Errorf("the page says %s: %s", said.Type, said.Text)
		}
	})
	t.Cleanup(listening.Wait)
	t.Cleanup(cancel)
	return ctx
}

// step is something done with the page.
type step = chromedp.Action[chromedp.Void]

// at says how the page is looked at.
func at(width, height int64, scheme string) step {
	return chromedp.Steps(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

// plain turns JavaScript off.
func plain() step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
}

// picture takes a screenshot of the whole page, and keeps it where SLUICE_PICTURES says.
func picture(t *testing.T, name string) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		png, err := chromedp.FullScreenshot(100)(ctx, target)
		if err != nil {
			return err
		}
		if len(png) < 10_000 {
			t.Errorf("%s: a picture of %d bytes shows nothing", name, len(png))
		}
		if dir := os.Getenv("SLUICE_PICTURES"); dir != "" {
			return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
		}
		return nil
	})
}

// until waits until a JavaScript expression is true.
func until(expression string) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(time.Minute))(ctx, target)
		if err != nil {
			return fmt.Errorf("%s: %w", expression, err)
		}
		return nil
	})
}

// fits fails the test if the page is wider than its window.
func fits(t *testing.T) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		over, err := chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`)(ctx, target)
		if over > 0 {
			t.Errorf("the page is %d pixels too wide", over)
		}
		return err
	})
}

// A source's name comes from outside, and must stay text.
const sharpName = `<img src=x onerror=alert(1)>"'&`

// TestThePageFollowsARun opens the page in a real browser during a run and after it.
func TestThePageFollowsARun(t *testing.T) {
	w := newWorld(t, 90_000, func(c *apisim.Config) {
		c.PageCap, c.MalformedShare = 500, 0.0002
		c.Latency = apisim.Latency{Page: 300 * time.Millisecond, Jitter: 300 * time.Millisecond, Scale: 1}
	})
	w.env["SLUICE_SOURCE"] = sharpName
	w.env["SLUICE_LIST_LIMIT"], w.env["SLUICE_STREAM_LIMIT"] = "10/1s", "50/1s"
	tab := browser(t)
	b := w.begin("run", "--shards=8", "--max-dead-letters=1000", "--listen=127.0.0.1:0", "--linger=5m")
	url := b.address(t)

	during := chromedp.Steps(
		at(1280, 900, "light"), chromedp.Navigate(url),
		until(`document.getElementById("phase").textContent === "ingesting"`),
		until(`document.querySelectorAll("#shards tr").length === 8`),
		until(`parseFloat(document.getElementById("total").getAttribute("aria-valuenow")) > 25`),
		until(`document.querySelectorAll("#c-rate path").length === 1`),
		picture(t, "during"), at(390, 844, "dark"), fits(t), picture(t, "during-narrow-dark"),
	)
	after := chromedp.Steps(
		until(`document.getElementById("phase").textContent === "complete"`),
		until(`!document.getElementById("verdict").hidden && document.getElementById("stored").textContent.length > 5`),
		until(`document.querySelectorAll("#shards .state.done").length === 8`),
		until(`document.querySelectorAll("#letters li b").length > 0 && document.querySelectorAll("img").length === 0`),
		until(`document.getElementById("source").textContent === `+quoted(sharpName)),
		fits(t), picture(t, "after-narrow-dark"), at(1280, 900, "light"), picture(t, "after"), at(1280, 900, "dark"), picture(t, "after-dark"),
		plain(), chromedp.Navigate(url), picture(t, "after-without-javascript"),
	)
	if err := chromedp.Do(tab, during, after); err != nil {
		t.Fatalf("%v\n%s", err, b.out)
	}
	if html := get(t, url, ""); strings.Count(html, `class="state done"`) != 8 || strings.Contains(html, "<img") {
		t.Errorf("without JavaScript the page does not show 8 windows:\n%s", html)
	}
	b.stop()
	if code := <-b.over; code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// get returns what the listener answers; another host is one that somebody else made to point here.
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
