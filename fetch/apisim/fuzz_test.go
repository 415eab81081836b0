package apisim

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// FuzzCursor: any text is a cursor or refused, readable and encrypted ones alike; what was read is written and read as the same.
func FuzzCursor(f *testing.F) {
	plain, err := newCursors(&Config{CursorLife: time.Minute})
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := newCursors(&Config{CursorLife: time.Minute, Opaque: true})
	if err != nil {
		f.Fatal(err)
	}
	for _, cs := range []*cursors{&plain, &sealed} {
		text, _ := cs.encode(uuid.Max, 1769541612369, time.UnixMilli(1769541612369))
		f.Add(text, int64(1769541612369))
	}
	for _, text := range []string{"", "=", "e30=", "bnVsbA", "eyJpZCI6IiIsInRzIjoxLCJ2IjoyLCJleHAiOjF9", "\x00", "////"} {
		f.Add(text, int64(-1))
	}
	f.Fuzz(func(t *testing.T, text string, at int64) {
		for _, cs := range []*cursors{&plain, &sealed} {
			c, err := cs.decode(text)
			if err != nil {
				c = cursor{ID: uuid.NewSHA1(uuid.Nil, []byte(text)), TS: at}
			}
			now := time.UnixMilli(at % 1e15)
			written, expires := cs.encode(c.ID, c.TS, now)
			again, err := cs.decode(written)
			if err != nil || again.ID != c.ID || again.TS != c.TS || again.Exp != expires.UnixMilli() {
				t.Errorf("%+v is written as %q and read as %+v, %v", c, written, again, err)
			}
		}
	})
}
