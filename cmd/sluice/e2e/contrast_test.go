package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// weak is JavaScript that returns the elements of the page that are hard to see: texts whose contrast is below that of WCAG 2.2 (1.4.3: 4.5,
// or 3 for large ones), and meaningful marks whose contrast to their background is below 3 (1.4.11). Colours are read back from a canvas,
// which understands every notation; translucent ones are blended with their background.
const weak = `(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = css => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => below.map((c, i) => top[3] * top[i] + (1 - top[3]) * c);
  const below = e => {
    if (!e) return [255, 255, 255];
    return over(rgba(getComputedStyle(e).backgroundColor), below(e.parentElement));
  };
  const light = c => {
    const [r, g, b] = c.map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const contrast = (a, b) => {
    const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
    return (high + .05) / (low + .05);
  };
  const found = [];
  let texts = 0, marks = 0;
  const judge = (what, a, b, least) => {
    const c = contrast(a, b);
    if (c < least) found.push(what + ": " + c.toFixed(2) + " of " + least);
  };
  const shown = e => e.getClientRects().length > 0 && getComputedStyle(e).visibility === "visible";
  for (const e of document.body.querySelectorAll("*")) {
    const text = [...e.childNodes].filter(n => n.nodeType === Node.TEXT_NODE).map(n => n.data.trim()).join("");
    if (!text || !shown(e) || ["SCRIPT", "STYLE"].includes(e.tagName)) continue;
    texts++;
    const css = getComputedStyle(e), size = parseFloat(css.fontSize);
    const large = size >= 24 || size >= 18.66 && css.fontWeight >= 700;
    const ground = below(e);
    judge(e.tagName.toLowerCase() + "." + e.className + " " + text.slice(0, 30), over(rgba(css.color), ground), ground, large ? 3 : 4.5);
  }
  const mark = (selector, property, on, part) => {
    for (const e of document.querySelectorAll(selector)) {
      if (!shown(e)) continue;
      marks++;
      const ground = below(on(e));
      judge(selector, over(rgba(getComputedStyle(e, part)[property]), ground), ground, 3);
    }
  };
  const parent = e => e.parentElement;
  mark(".total i, .bar i, .shard.running i, .shard.done i", "backgroundColor", parent);
  mark("path.one, path.two", "stroke", parent);
  mark(".line, .total, .bar", "borderTopColor", parent);
  mark(".key li", "borderTopColor", parent, "::before");
  mark(".name", "borderTopColor", parent, "::before");
  if (texts < 60 || marks < 20) found.push("only " + texts + " texts and " + marks + " marks were looked at");
  return found.join("\n");
})()`

// sharp fails the test for each text and each mark that is hard to see.
func sharp(t *testing.T, scheme string) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		found, err := chromedp.Evaluate[string](weak)(ctx, target)
		for _, one := range strings.Split(found, "\n") {
			if one != "" {
				t.Errorf("%s: %s", scheme, one)
			}
		}
		return err
	})
}

// still fails the test if something moves although the viewer prefers reduced motion.
func still(t *testing.T) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		prefer := func(motion string) (string, error) {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: motion}},
			})
			if err != nil {
				return "", err
			}
			return chromedp.Evaluate[string](`getComputedStyle(document.querySelector(".total i")).transitionDuration`)(ctx, target)
		}
		moves, err := prefer("no-preference")
		if err != nil {
			return err
		}
		rests, err := prefer("reduce")
		if moves == "0s" || rests != "0s" {
			t.Errorf("bars take %s, and %s with less motion", moves, rests)
		}
		return err
	})
}

// spoken fails the test for a drawing without a text for screen readers.
func spoken(t *testing.T) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		mute, err := chromedp.Evaluate[int](`[...document.querySelectorAll("svg, [role=img]")].filter(e =>
			e.getAttribute("aria-hidden") !== "true" && (e.getAttribute("aria-label") || "").length < 20).length`)(ctx, target)
		if mute > 0 {
			t.Errorf("%d drawings have no words", mute)
		}
		return err
	})
}
