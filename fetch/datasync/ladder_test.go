package datasync

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/fetch/decode"
	"sluice/shard"
)

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
