package apisim

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// cursor leads on strictly after a record. The real one is neither signed nor encrypted: whoever knows a timestamp can make
// one, and it is good at both endpoints.
type cursor struct {
	ID uuid.UUID
	TS int64 // epoch milliseconds

	Exp int64 // epoch milliseconds
}

// cursorVersion is the only one ever seen.
const cursorVersion = 2

var errCursorFormat = errors.New("invalid cursor format")

// cursors writes and reads cursors.
type cursors struct {
	life time.Duration
	seal cipher.AEAD // nil: readable cursors, as the real ones
}

func newCursors(c *Config) (cursors, error) {
	cs := cursors{life: c.CursorLife}
	if !c.Opaque {
		return cs, nil
	}
	// The key follows from the seed, so that a simulator started again takes the cursors of its predecessor.
	var key [16]byte
	binary.BigEndian.PutUint64(key[:8], keyOf(c.Seed, "cursor"))
	binary.BigEndian.PutUint64(key[8:], keyOf(c.Seed, "cursor, second half"))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return cs, err
	}
	cs.seal, err = cipher.NewGCMWithRandomNonce(block)
	return cs, err
}

// encode makes the cursor that leads on after a record, from now until its life is over.
func (cs *cursors) encode(id uuid.UUID, ts int64, now time.Time) (text string, expires time.Time) {
	expires = now.Add(cs.life)
	plain := fmt.Appendf(nil, `{"id":"%s","ts":%d,"v":%d,"exp":%d}`, id, ts, cursorVersion, expires.UnixMilli())
	if cs.seal == nil {
		return base64.StdEncoding.EncodeToString(plain), expires
	}
	return base64.RawURLEncoding.EncodeToString(cs.seal.Seal(nil, nil, plain, nil)), expires
}

// decode reads a cursor, of both alphabets of base64 and with or without padding.
func (cs *cursors) decode(text string) (cursor, error) {
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/", " ", "+").Replace(text), "=")
	plain, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return cursor{}, errCursorFormat
	}
	if cs.seal != nil {
		if plain, err = cs.seal.Open(nil, nil, plain, nil); err != nil {
			return cursor{}, errCursorFormat
		}
	}
	return parseCursor(plain)
}

func parseCursor(plain []byte) (cursor, error) {
	var c struct {
		ID  *string `json:"id"`
		TS  *int64  `json:"ts"`
		V   *int    `json:"v"`
		Exp *int64  `json:"exp"`
	}
	decoder := json.NewDecoder(bytes.NewReader(plain))
	if err := decoder.Decode(&c); err != nil || c.ID == nil || c.TS == nil || c.V == nil || c.Exp == nil {
		return cursor{}, errCursorFormat
	}
	id, err := uuid.Parse(*c.ID)
	if err != nil || *c.V != cursorVersion {
		return cursor{}, errCursorFormat
	}
	return cursor{ID: id, TS: *c.TS, Exp: *c.Exp}, nil
}
