package fetch

import "log/slog"

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
