package cli

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/spf13/pflag"

	"sluice/coordinator/job"
	"sluice/coordinator/ledger"
	"sluice/fetch/decode"
	"sluice/fetch/hostile"
	"sluice/shard"
	"sluice/sink"
	"sluice/sink/pgtest"
)

// fuzzKey is the key of these tests: nothing that is printed may hold it.
const fuzzKey = "ds_0123456789abcdefCANARY"

// tried reads one setting, as a flag or from the environment, beside two that are there.
func tried(name, value string, env bool) (*settings, *pflag.FlagSet, error) {
	surroundings := map[string]string{EnvAPI: "https://api.example.com", EnvKey: fuzzKey}
	s, flags := &settings{}, pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	s.bind(flags)
	p := &Program{Environ: func(name string) (string, bool) { v, ok := surroundings[name]; return v, ok }}
	switch {
	case flags.Lookup(name) == nil:
		surroundings[name] = value
	case env:
		surroundings[EnvName(name)] = value
	default:
		if err := flags.Parse([]string{"--" + name + "=" + value}); err != nil {
			return s, flags, usage("%w", err)
		}
	}
	if err := p.applyEnvironment(flags); err != nil {
		return s, flags, err
	}
	if err := s.load(p); err != nil {
		return s, flags, err
	}
	src := source{api: s.api, key: s.key}
	return s, flags, src.open(p, s, slog.New(slog.DiscardHandler))
}

// FuzzSettings: whatever stands in a flag or in the environment is taken, or refused with exit code 2 and the setting's name; what
// was taken is written and read as the same.
func FuzzSettings(f *testing.F) {
	for _, c := range [][2]string{
		{"shards", "8"}, {"shards", "1e9"}, {"memory", "160MiB"}, {"memory", "17179869185GiB"}, {"memory", "-1B"}, {"memory", "1 KB"}, {"from", "2026-01-01"},
		{"from", "2026-01-27T19:20:12.999999999+23:59"}, {"to", "1969-12-31"}, {"to", "0000-01-01T00:00:00Z"}, {"list-limit", "10/1.5s"},
		{"stream-limit", "none"}, {"give-up-after", "-1s"}, {"max-wait", "9999999h"}, {"job", strings.Repeat("j", 64)}, {"job", "a\x00b"},
		{"log-level", "warn+1"}, {"made-cursors", "always"}, {"demo-events", "-5"}, {EnvAPI, "https://u:" + fuzzKey + "@h/"}, {EnvAPI, "http://[::1]:80/api/v1"},
		{EnvDatabase, "postgres://u:" + fuzzKey + "@h/d"}, {EnvKey, fuzzKey + "\n"},
	} {
		f.Add(c[0], c[1], len(c[1])%2 == 0)
	}
	f.Fuzz(func(t *testing.T, name, value string, env bool) {
		s, flags, err := tried(name, value, env)
		if err != nil {
			checkRefused(t, name, value, err)
			return
		}
		flags.VisitAll(func(fl *pflag.Flag) {
			if fl.Value.String() == "" {
				return
			}
			again, _, err := tried(fl.Name, fl.Value.String(), !env)
			if err == nil && fl.Name == "from" && again.from.value != s.from.value || fl.Name == "memory" && (err != nil || again.memory.value != s.memory.value) {
				t.Errorf("--%s=%q is written as %q, which is read as %+v, %v", fl.Name, value, fl.Value, again, err)
			}
		})
		if name == "memory" && value != "" && float64(s.memory.value) != sizeOf(value) {
			t.Errorf("--memory=%q is taken as %d", value, s.memory.value)
		}
		if s.memory.value < 0 || s.shards < 1 || s.span().Start >= s.span().End {
			t.Errorf("%s=%q is taken as %+v", name, value, s)
		}
	})
}

// sizeOf reads a size in another way than readSize does.
func sizeOf(text string) float64 {
	digits := strings.TrimRightFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	n, _ := strconv.ParseFloat(digits, 64)
	for unit, factor := range map[string]float64{"K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if strings.Contains(strings.ToUpper(text), unit) {
			return n * factor
		}
	}
	return n
}

func checkRefused(t *testing.T, name, value string, err error) {
	t.Helper()
	var coded *exitError
	if errors.As(err, &coded) && coded.code != ExitUsage || err.Error() == "" || strings.Contains(err.Error(), fuzzKey) && !strings.Contains(name, "-") && strings.ToUpper(name) == name {
		t.Errorf("%s=%q: %v", name, value, err)
	}
	if words := err.Error(); !strings.Contains(words, name) && !strings.Contains(words, EnvName(name)) && !strings.Contains(words, "TARGET_API_KEY") {
		t.Errorf("%s=%q is not named: %v", name, value, err)
	}
}

// FuzzFixedFile: any file is read as records by the ids of dead letters, or refused with the line's number.
func FuzzFixedFile(f *testing.F) {
	for _, text := range []string{`{"id":1,"record":{"a":[1]}}`, "\n\n{\"id\":2,\"record\":null}\n{\"id\":3,\"record\":1}\n", `{"id":1,"record":{}}{}`,
		`{"id":1e3,"record":{}}`, `{"ID":1,"record":{},"record":2}`, "{\"id\":1,\"record\":\"\xff\"}", "\xef\xbb\xbf{}", `[]`, ``} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fixed, err := readFixed(bytes.NewReader(text))
		if (err == nil) != (len(fixed) > 0) {
			t.Errorf("%d records, %v", len(fixed), err)
		}
		for id, record := range fixed {
			if id <= 0 || len(record) == 0 || !bytes.Contains(text, record) {
				t.Errorf("record %q of letter %d is not in the file", record, id)
			}
		}
		if lines := bytes.Count(text, []byte("\n")) + 1; len(fixed) > lines {
			t.Errorf("%d records in %d lines", len(fixed), lines)
		}
	})
}

// FuzzReplay: any bytes whatever become a dead letter, byte for byte, without an error; tried again, they are a row if they can
// be decoded, never one that the table refuses, and a dead letter otherwise; and the ledger agrees with the tables.
func FuzzReplay(f *testing.F) {
	for _, h := range slices.Concat(hostile.Rejected, hostile.Tolerable) {
		if raw := h.Raw(uuid.NewString(), time.UnixMilli(1769541612369)); len(raw) < 1<<10 {
			f.Add(raw, h.Name)
		}
	}
	l := newLetterbox(f)
	f.Fuzz(func(t *testing.T, raw []byte, eventID string) {
		if utf8.ValidString(eventID) {
			eventID = "" // only what was readable stands there; what was not must do no harm either
		}
		letter := l.bury(t, raw, eventID)
		all, v := job.Replay(t.Context(), job.Config{Name: "fuzz", Store: l.db}, job.Replaying{IDs: []int64{letter.ID}, Decode: decode.Record})
		if all == nil {
			t.Fatalf("%q: %s", raw, v.Text)
		}
		for _, left := range all.Left {
			if left.Reason == string(ledger.Refused) {
				t.Errorf("%q can be decoded, and the table refuses it: %s", raw, left.Detail)
			}
		}
		_, reject := decode.Record(raw)
		if sound := all.Settled()+all.Before == 1; len(all.Left) > 1 || sound && letter.ReplayedAt.IsZero() && reject != nil {
			t.Errorf("%q: %+v, %+v", raw, all, reject)
		}
		if l.at.Seq%16 == 0 {
			l.check(t)
		}
	})
}

// letterbox is a database with one job, whose one shard is fed with rejects.
type letterbox struct {
	db   *sink.Postgres
	job  *ledger.Job
	at   shard.Checkpoint
	last int64 // the newest letter
}

func newLetterbox(f *testing.F) *letterbox {
	ok := func(err error) {
		if err != nil {
			f.Fatal(err)
		}
	}
	db, err := sink.Open(f.Context(), sink.Config{URL: pgtest.Database(f), Job: "fuzz", Run: uuid.New(), Log: slog.New(slog.DiscardHandler)})
	ok(err)
	f.Cleanup(db.Close)
	ok(db.Migrate(f.Context()))
	job, err := db.CreateJob(f.Context(), ledger.Job{Name: "fuzz", Source: "fuzz", Span: ledger.Everything}, []shard.Window{ledger.Everything})
	ok(err)
	all, err := db.Load(f.Context(), job.ID)
	ok(err)
	at, err := db.Begin(f.Context(), all[0].ID)
	ok(err)
	return &letterbox{db: db, job: job, at: at}
}

// bury commits a reject of these bytes and returns the dead letter that it has become, or became before.
func (l *letterbox) bury(t *testing.T, raw []byte, eventID string) *ledger.DeadLetter {
	t.Helper()
	hash := sha256.Sum256(raw)
	b := shard.Batch{From: l.at, Rejects: []shard.Reject{{Raw: raw, RawBytes: len(raw), SHA256: hash, EventID: eventID, Reason: "fuzz", Detail: string(raw)}}}
	b.Seen.Received = 1
	if _, err := l.db.Commit(t.Context(), b); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	l.at.Seq++
	for _, after := range []int64{l.last, 0} {
		letters, err := l.db.DeadLetters(t.Context(), ledger.DeadLetterQuery{JobID: l.job.ID, Replayed: true, Whole: true, AfterID: after, Limit: 100_000})
		if err != nil {
			t.Fatal(err)
		}
		for i := range letters {
			l.last = max(l.last, letters[i].ID)
			if bytes.Equal(letters[i].SHA256, hash[:]) && bytes.Equal(letters[i].Raw, raw) {
				return &letters[i]
			}
		}
	}
	t.Fatalf("no dead letter holds %q", raw)
	return nil
}

// check compares the ledger with the table.
func (l *letterbox) check(t *testing.T) {
	t.Helper()
	audit, err := l.db.Audit(t.Context(), l.job.ID)
	if err != nil {
		t.Fatal(err)
	}
	if w := audit.Windows[0]; w.Counts.Events != audit.Rows || w.Counts.Received != l.at.Seq {
		t.Errorf("the ledger has %+v, the table %d rows", w.Counts, audit.Rows)
	}
}
