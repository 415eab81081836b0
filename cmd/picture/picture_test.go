package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestPicture: each run of like characters stands in its cells, with its colour, and what is markup is none.
func TestPicture(t *testing.T) {
	var out bytes.Buffer
	captured := "plain   one \x1b[32m━━\x1b[2m──\x1b[0m <b>\n\n\x1b[1;31mfailed\x1b[22;39m &\n\n\n"
	if err := picture(strings.NewReader(captured), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`viewBox="0 0 192 86"`, // 20 columns, 3 lines: the empty ones at the end are left out
		`<text x="16" y="29" textLength="40" lengthAdjust="spacingAndGlyphs" fill="#c9d1d9">plain</text>`,
		`<text x="80" y="29" textLength="24" lengthAdjust="spacingAndGlyphs" fill="#c9d1d9">one</text>`,
		`<text x="112" y="29" textLength="16" lengthAdjust="spacingAndGlyphs" fill="#3fb950">━━</text>`,
		`fill="#3fb950" opacity="0.6">──</text>`,
		`<text x="152" y="29" textLength="24" lengthAdjust="spacingAndGlyphs" fill="#c9d1d9">&lt;b&gt;</text>`,
		`fill="#ff7b72" font-weight="bold">failed</text>`,
		`fill="#c9d1d9">&amp;</text>`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is not in\n%s", want, out.String())
		}
	}
	for d := xml.NewDecoder(&out); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
