package fetch

import (
	"errors"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// Secret is a key or a token. It prints as stars wherever it is formatted; Reveal is the one way to its text, and its calls
// are easily found.
type Secret string

const stars = "***"

func (s Secret) String() string               { return stars }
func (s Secret) GoString() string             { return stars }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(stars) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }

// Reveal returns the text of the secret, for a request's header.
func (s Secret) Reveal() string { return string(s) }

// hide replaces the secrets that a request carried by stars: an API may well repeat the key that it refuses.
func hide(text string, secrets []string) string {
	const shortest = 8 // a shorter one is part of too many words
	for _, secret := range secrets {
		if len(secret) >= shortest {
			text = strings.ReplaceAll(text, secret, stars)
		}
	}
	return text
}

// plainError is an error in words that may be shown. Parts of it were written at the other end of the connection: a status line
// of a proxy, a name in a certificate.
type plainError struct {
	err  error
	text string
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

// plain takes out of an error of net/http the URL, which is long and may be private, the secrets, and what could harm a
// terminal.
func plain(err error, secrets []string) error {
	const longest = 512
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	text := hide(err.Error(), secrets)
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		text = strconv.Quote(text)
	}
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return &plainError{err, text}
}
