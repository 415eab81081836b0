package fetch

import (
	"encoding/base64"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// madeAt returns when a cursor of the API dies, by the clock of the server: always the same time after it was made, just after
// its request came in (api.md, 2). false where it does not say, as one that is encrypted.
func madeAt(cursor string) (time.Time, bool) {
	plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(cursor, "="))
	if err != nil {
		return time.Time{}, false
	}
	var c struct {
		Exp int64 `json:"exp"` // epoch milliseconds
	}
	if err := json.Unmarshal(plain, &c); err != nil || c.Exp <= 0 {
		return time.Time{}, false
	}
	return time.UnixMilli(c.Exp), true
}
