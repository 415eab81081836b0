package coordinator

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"sluice/shard"
)

// Defaults of Config.
const (
	DefaultMemory      = 160 << 20 // bytes
	DefaultGiveUpAfter = 15 * time.Minute
	DefaultDrain       = 8 * time.Second
)

const (
	maxFetchers = 1024
	minMemory   = 16 << 20 // bytes; a page surely fits
)

// DefaultFetchers returns how many fetchers a run of that many planned shards has by default.
func DefaultFetchers(shards int) int { return max(1, min(shards, 16)) }

// Config says how a job is run. The zero value of a field means its default.
type Config struct {
	Fetchers    int           // attempts at a time; default DefaultFetchers
	Memory      int64         // bytes that pages may hold between request and commit; default DefaultMemory
	PageBytes   int64         // of a full page's body, decompressed; 0 if it is not known
	Limits      shard.Limits  // of each shard
	GiveUpAfter time.Duration // without a committed page of any shard; default DefaultGiveUpAfter
	Drain       time.Duration // that all remaining commits together have after a stop; default DefaultDrain
	// MaxDeadLetters returns how many dead letters a run may have after receiving that many records. Nil means any number.
	MaxDeadLetters func(received int64) int64
	// Sequential walks the windows one after another, newest first, each from where its newer neighbour ended: for an API
	// that cannot be asked by timestamp.
	Sequential bool
	// Oldest is the oldest event known of the source: a window that is open to the past is split as if it started there. Zero
	// means that it is not known; then such a window is not split.
	Oldest shard.Instant
	// Pause is how the operator pauses the run; paused time does not count towards GiveUpAfter. Nil means it is never paused.
	Pause *shard.Pause
	// DescribePhase names what a shard in this phase waits for. The default knows only "the API" and "the database".
	DescribePhase func(shard.Phase) string
	Seed          uint64       // of the pauses between attempts; default random
	Log           *slog.Logger // default slog.Default()
}

func (c Config) withDefaults(shards int) Config {
	c.Fetchers = cmp.Or(c.Fetchers, DefaultFetchers(shards))
	c.Memory = cmp.Or(c.Memory, DefaultMemory)
	c.GiveUpAfter = cmp.Or(c.GiveUpAfter, DefaultGiveUpAfter)
	c.Drain = cmp.Or(c.Drain, DefaultDrain)
	c.Limits = c.Limits.WithDefaults()
	c.Seed = cmp.Or(c.Seed, rand.Uint64())
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.DescribePhase == nil {
		c.DescribePhase = func(p shard.Phase) string {
			switch {
			case p.AtSource():
				return "the API"
			case p == shard.Queueing:
				return "the database, or for memory"
			}
			return "the commit of what was fetched"
		}
	}
	return c
}

// Faults returns what is wrong with each field that is out of bounds. Each message begins with the field's name, spelled like
// the flag of the command line. Unlike in New, zero does not mean the default.
func (c Config) Faults() (faults []error) {
	if c.Fetchers < 1 || c.Fetchers > maxFetchers {
		faults = append(faults, fmt.Errorf("fetchers %d: must be from 1 to %d", c.Fetchers, maxFetchers))
	}
	if c.Memory < minMemory {
		faults = append(faults, fmt.Errorf("memory %d bytes: must be at least %d MiB", c.Memory, minMemory>>20))
	}
	if c.GiveUpAfter <= 0 {
		faults = append(faults, fmt.Errorf("give-up-after %s: must be positive", c.GiveUpAfter))
	}
	if c.Drain <= 0 {
		faults = append(faults, fmt.Errorf("drain %s: must be positive", c.Drain))
	}
	return append(faults, c.Limits.Faults()...)
}
