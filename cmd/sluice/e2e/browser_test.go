package e2e

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// browser starts a headless Chromium and returns one of its tabs; errors of the page fail the test.
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
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
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

// step is an action on the page.
type step = chromedp.Action[chromedp.Void]

// at sets the size of the window and the colour scheme.
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

// smaller writes a PNG with its 256 most frequent colours: a page has few, and shades between them.
func smaller(big []byte) ([]byte, error) {
	img, err := png.Decode(bytes.NewReader(big))
	if err != nil {
		return nil, err
	}
	count, bounds := map[color.Color]int{}, img.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[img.At(x, y)]++
		}
	}
	most := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] })
	few := image.NewPaletted(bounds, most[:min(len(most), 256)])
	draw.Draw(few, bounds, img, bounds.Min, draw.Src)
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few)
	return out.Bytes(), err
}

// picture takes a screenshot of the whole page, and keeps it in the folder SLUICE_PICTURES.
func picture(t *testing.T, name string) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		shot, err := chromedp.FullScreenshot(100)(ctx, target)
		if err != nil {
			return err
		}
		if len(shot) < 10_000 {
			t.Errorf("%s: a picture of %d bytes shows nothing", name, len(shot))
		}
		dir := os.Getenv("SLUICE_PICTURES")
		if dir == "" {
			return nil
		}
		small, err := smaller(shot)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name+".png"), small, 0o600)
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

// byKeyboard walks through the page with the tab key: it reaches the skip link, both tables that scroll sideways, and the links of the footer,
// and the focus is visible.
func byKeyboard(t *testing.T) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		var seen []string
		for range 6 {
			if _, err := chromedp.KeyEvent("\t")(ctx, target); err != nil {
				return err
			}
			name, err := chromedp.Evaluate[string](`(e => (e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.textContent) +
				(getComputedStyle(e).outlineStyle === "none" ? " (not shown)" : ""))(document.activeElement)`)(ctx, target)
			if err != nil {
				return err
			}
			seen = append(seen, name)
		}
		if got := strings.Join(seen, "|"); !strings.HasPrefix(got, "to the figures|h-quota|h-shards|metrics|this page as JSON|") {
			t.Errorf("the tabulator leads to %s", got)
		}
		return nil
	})
}
