package decode

import (
	"bytes"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/shard"
)

// ordinary reads the record at the head of raw if it is written as the API writes nearly all of them: with every field, in the usual
// order, without white space, in ASCII without escapes. It returns the record's length, or 0 for anything else, sound or not, which is
// left to the strict parser (see record). That parser reads everything that ordinary accepts in the same way (FuzzOrdinary).
func (d *Decoder) ordinary(e *shard.Event, raw []byte) int {
	s := scanner(raw)
	id := s.after(`{"id":"`).take(uuidSize)
	session := s.after(`","sessionId":"`).take(uuidSize)
	user := s.after(`","userId":"`).take(uuidSize)
	kind := s.after(`","type":"`).text(50)
	name := s.after(`","name":"`).text(100)
	properties := s.after(`","properties":`).object()
	at := s.after(`,"timestamp":`).until(',')
	s.after(`,"session":{"id":"`).text(100)
	device := s.after(`","deviceType":"`).text(20)
	browser := s.after(`","browser":"`).text(50)
	s.after(`"}}`)
	if s == nil || !parseUUID(&e.ID, id) || !parseUUID(&e.Session, session) || !parseUUID(&e.User, user) || !d.instant(&e.At, at) {
		return 0
	}
	var known bool
	if e.Properties, known = d.sound[string(properties)]; !known {
		return 0 // they are not checked yet
	}
	e.Type, e.Device, e.Browser = intern(d.strings, kind), intern(d.strings, device), intern(d.strings, browser)
	e.Name = d.names.keep(name)
	return len(raw) - len(s)
}

// scanner is the rest of a record. It is nil from the first thing on that is not ordinary.
type scanner []byte

// after skips a text that must come next.
func (s *scanner) after(text string) *scanner {
	if len(*s) < len(text) || string((*s)[:len(text)]) != text {
		*s = nil
	} else {
		*s = (*s)[len(text):]
	}
	return s
}

func (s *scanner) take(n int) []byte {
	if n < 0 || len(*s) < n {
		*s = nil
		return nil
	}
	taken := (*s)[:n]
	*s = (*s)[n:]
	return taken
}

// text takes the content of a string without escapes. The caller checks that its quote follows.
func (s *scanner) text(max int) []byte {
	n := 0
	for n < len(*s) && n <= max && ordinaryByte[(*s)[n]] {
		n++
	}
	if n > max {
		*s = nil
	}
	return s.take(n)
}

var ordinaryByte = func() (is [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// until takes the bytes before the next c, and object those up to the first closing brace. Both are limited to a few bytes.
func (s *scanner) until(c byte) []byte { return s.take(bytes.IndexByte(s.near(), c)) }
func (s *scanner) object() []byte      { return s.take(bytes.IndexByte(s.near(), '}') + 1) }
func (s *scanner) near() []byte        { return (*s)[:min(len(*s), soundSize)] }

// uuidSize is the length of the only form of a UUID that is accepted.
const uuidSize = 36

// The values of hexadecimal digits, and their offsets in a UUID.
var (
	hexDigit   = hexDigits()
	uuidDigits = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}
)

const noDigit = 0xff

func hexDigits() (of [256]byte) {
	for c := range of {
		of[c] = noDigit
		if at := strings.IndexByte("0123456789abcdef", byte(c)); at >= 0 {
			of[c] = byte(at)
		}
	}
	return of
}

// parseUUID reads a UUID in lower case, several times as fast as the library.
func parseUUID(to *uuid.UUID, s []byte) bool {
	if len(s) != uuidSize || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	wrong := byte(0)
	for i, at := range uuidDigits {
		high, low := hexDigit[s[at]], hexDigit[s[at+1]]
		wrong |= high | low
		to[i] = high<<4 | low
	}
	return wrong < 16
}

// instant reads a timestamp: a number of 13 digits, which is from 2001 to 2286, or a text like "2026-01-27T19:20:12.369Z". The day of
// the last text is remembered, so that only the time of day has to be read.
func (d *Decoder) instant(to *shard.Instant, s []byte) bool {
	const isoSize, dateSize = len(`"2026-01-27T19:20:12.369Z"`), len(`"2026-01-27T`)
	if len(s) != isoSize {
		ms, ok := number(s)
		*to = shard.Instant(ms * 1000)
		return ok && len(s) == 13 && s[0] != '0' && *to < latest
	}
	if string(s[:dateSize]) != string(d.date[:]) {
		return d.learnDate(to, s)
	}
	hour, ok1 := number(s[12:14])
	minute, ok2 := number(s[15:17])
	second, ok3 := number(s[18:20])
	ms, ok4 := number(s[21:24])
	*to = d.midnight + shard.Instant(((hour*60+minute)*60+second)*1000+ms)*1000
	return ok1 && ok2 && ok3 && ok4 && hour < 24 && minute < 60 && second < 60 &&
		s[14] == ':' && s[17] == ':' && s[20] == '.' && s[24] == 'Z' && s[25] == '"'
}

// learnDate reads a whole timestamp in UTC with the strict parser, and remembers when its day began.
func (d *Decoder) learnDate(to *shard.Instant, s []byte) bool {
	last := len(s) - 1
	if s[0] != '"' || s[last] != '"' || s[last-1] != 'Z' {
		return false
	}
	t, ok := rfc3339(string(s[1:last]))
	*to = shard.InstantOf(t)
	if !ok || *to < earliest || *to >= latest {
		return false
	}
	copy(d.date[:], s)
	d.midnight = shard.InstantOf(t.Truncate(24 * time.Hour))
	return true
}

func number(s []byte) (n int64, ok bool) {
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, true
}

// texts keeps short strings that occur once, many in one piece of memory. They are freed together.
type texts struct{ piece strings.Builder }

func (t *texts) keep(b []byte) string {
	const size = 16 << 10
	if t.piece.Cap()-t.piece.Len() < len(b) {
		t.piece.Reset()
		t.piece.Grow(size)
	}
	from := t.piece.Len()
	t.piece.Write(b)
	return t.piece.String()[from:]
}
