package decode

import (
	"math/big"
	"strconv"
	"strings"
	"time"

	"sluice/shard"
)

// Timestamps outside these years are rejected: the unit is wrong, or the clock.
var (
	earliest = shard.Instant(0)
	latest   = shard.InstantOf(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC))
)

// leastMillis is the least number that is read as epoch milliseconds: March 1973. Read as seconds, all smaller ones lie between 1970
// and 5138: an API that writes seconds would otherwise fill January 1970.
const leastMillis = 100_000_000_000

// timestamp reads epoch milliseconds, as a number or in quotes, or a text with a date, a time and a zone. Every form that can only
// mean one instant is read. The unit of a number is never guessed.
func (d *Decoder) timestamp(to *shard.Instant) (fields, *fault, error) {
	kind := d.json.PeekKind()
	raw, err := d.json.ReadValue()
	if err != nil {
		return 0, nil, err
	}
	const longest = 64 // bytes
	text := string(raw[:min(len(raw), longest)])
	switch {
	case len(raw) > longest:
		return 0, faultf(ReasonTimestamp, "timestamp has %d bytes", len(raw)), nil
	case kind == '0':
	case kind == '"':
		s, err := d.unquote(raw)
		if err != nil {
			return 0, nil, err
		}
		text = strings.TrimSpace(string(s))
	default:
		return 0, faultf(ReasonTimestamp, "timestamp is %s", kindName(kind)), nil
	}
	if isNumber(text) {
		at, ok := epochMillis(text)
		if !ok {
			return 0, faultf(ReasonTimestamp, "timestamp %.50s is not in epoch milliseconds from 1973 to 2200", text), nil
		}
		*to = at
		return fieldTimestamp, nil, nil
	}
	t, ok := zoned(text)
	if !ok {
		return 0, faultf(ReasonTimestamp, "timestamp %.50q has no date, time and zone as in RFC 3339", text), nil
	}
	if *to = shard.InstantOf(t); *to < earliest || *to >= latest {
		return 0, faultf(ReasonTimestamp, "timestamp %s is not from 1970 to 2200", *to), nil
	}
	return fieldTimestamp, nil, nil
}

// isNumber reports whether a text has only what a decimal number has. A date alone looks like one, and is out of range.
func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789.eE+-") == "" }

// epochMillis reads epoch milliseconds. What is beyond the microsecond is cut off, as in a text.
func epochMillis(text string) (shard.Instant, bool) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return shard.Instant(ms * 1000), ms >= leastMillis && ms < int64(latest)/1000
	}
	rough, err := strconv.ParseFloat(text, 64)
	if err != nil || !(rough >= leastMillis && rough < float64(latest)/1000) {
		return 0, false
	}
	exact, ok := new(big.Rat).SetString(text) // its exponent is small, because the number is neither long nor large
	if !ok {
		return 0, false
	}
	exact.Mul(exact, big.NewRat(1000, 1))
	at := shard.Instant(new(big.Int).Quo(exact.Num(), exact.Denom()).Int64())
	return at, at < latest
}

// zoned reads a time with its zone in the forms of ISO 8601 that mean one instant: a small t or z or a space for T, no seconds, a
// comma before the fraction, a zone without a colon or minutes, and the zones UTC and GMT.
func zoned(text string) (time.Time, bool) {
	const dateSize = len("2006-01-02")
	text = strings.ToUpper(text)
	if len(text) <= dateSize || text[dateSize] != 'T' && text[dateSize] != ' ' {
		return time.Time{}, false
	}
	date, rest := text[:dateSize], text[dateSize+1:]
	at := strings.IndexAny(rest, "Z+- UG")
	if at < 0 {
		return time.Time{}, false
	}
	clock, zone := rest[:at], strings.TrimPrefix(rest[at:], " ")
	if len(clock) == len("15:04") {
		clock += ":00"
	}
	switch {
	case zone == "UTC", zone == "GMT":
		zone = "Z"
	case len(zone) == len("+07"):
		zone += ":00"
	case len(zone) == len("+0700") && zone[3] != ':':
		zone = zone[:3] + ":" + zone[3:]
	}
	return rfc3339(date + "T" + strings.Replace(clock, ",", ".", 1) + zone)
}

// rfc3339 reads a time with its zone. Go's own parser is laxer: it accepts an hour of one digit, a comma before the fraction, and
// zones of 24 hours or 60 minutes.
func rfc3339(s string) (t time.Time, ok bool) {
	const hourEnds, zoneSize = len("2006-01-02T15"), len("+07:00")
	if err := t.UnmarshalText([]byte(s)); err != nil || s[hourEnds] != ':' || strings.Contains(s, ",") {
		return t, false
	}
	zone := s[len(s)-zoneSize:]
	return t, s[len(s)-1] == 'Z' || zone[1:3] <= "23" && zone[4:] <= "59"
}
