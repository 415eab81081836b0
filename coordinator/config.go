package coordinator

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sluice/shard"
)

// Config says how a job is run. The zero value of a field means its default.
type Config struct {
	Fetchers    int           // attempts at a time; default min(shards, 16)
	Memory      int64         // bytes that pages may hold between request and commit; default 160 MiB
	Limits      shard.Limits  // of each shard
	GiveUpAfter time.Duration // without a committed page of any shard; default 15 min
	Drain       time.Duration // that the remaining commits share after a stop; default 8 s
	// MaxDeadLetters returns how many dead letters a run may have after receiving that many records. Nil means any number.
	MaxDeadLetters func(received int64) int64
	// Sequential walks the windows one after another, newest first, each from where its newer neighbour ended: for an API
	// that cannot be asked by timestamp.
	Sequential bool
	// Oldest is the oldest event known of the source: a window that is open to the past is split from there. Zero: it is not split.
	Oldest shard.Instant
	// Pause is how the operator pauses the run; paused time does not count towards GiveUpAfter. Nil means it is never paused.
	Pause *shard.Pause
	// DescribePhase names what a shard in this phase waits for. The default knows only "the API" and "the database".
	DescribePhase func(shard.Phase) string
	Log           *slog.Logger
}

func (c Config) withDefaults(shards int) Config {
	c.Fetchers = cmp.Or(c.Fetchers, max(1, min(shards, 16)))
	c.Memory = cmp.Or(c.Memory, 160<<20)
	c.GiveUpAfter = cmp.Or(c.GiveUpAfter, 15*time.Minute)
	c.Drain = cmp.Or(c.Drain, 8*time.Second)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.DescribePhase == nil {
		c.DescribePhase = plainly
	}
	return c
}

// MinMemory is the smallest memory budget in bytes that a page surely fits.
const MinMemory = 16 << 20

func (c Config) validate() error {
	var faults []error
	if c.Fetchers < 1 || c.Fetchers > 1024 {
		faults = append(faults, fmt.Errorf("fetchers %d: there must be from 1 to 1024", c.Fetchers))
	}
	if c.Memory < MinMemory {
		faults = append(faults, fmt.Errorf("memory %d bytes: at least %d are needed", c.Memory, MinMemory))
	}
	if c.GiveUpAfter < 0 {
		faults = append(faults, fmt.Errorf("give-up-after %s: it must not be negative", c.GiveUpAfter))
	}
	if c.Drain < 0 {
		faults = append(faults, fmt.Errorf("drain %s: it must not be negative", c.Drain))
	}
	if c.Limits.QueuePages < 0 {
		faults = append(faults, fmt.Errorf("queue pages %d: there must be at least 1", c.Limits.QueuePages))
	}
	if c.Limits.BatchRows < 0 {
		faults = append(faults, fmt.Errorf("batch rows %d: there must be at least 1", c.Limits.BatchRows))
	}
	return errors.Join(faults...)
}
