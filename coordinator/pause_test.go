package coordinator_test

import (
	"testing"
	"time"

	"sluice/shard"
)

// gaps are the pauses between the attempts of a shard, where requests and commits take no time.
func (j *job) gaps(number int) []time.Duration {
	tries := j.store.tries(number)
	var gaps []time.Duration
	for i := 1; i < len(tries); i++ {
		gaps = append(gaps, tries[i].Sub(tries[i-1]))
	}
	return gaps
}

// failsTimes makes the first so many requests of each shard fail.
func (j *job) failsTimes(n int, err error) {
	left := map[int]int{}
	j.source.Answer = func(r request) error {
		j.mu.Lock()
		defer j.mu.Unlock()
		if left[j.shardOf(r)]++; left[j.shardOf(r)] <= n {
			return err
		}
		return nil
	}
}

func TestPausesDoubleUpToHalfAMinuteWithFullJitter(t *testing.T) {
	const shards, faults = 8, 40
	inJob(t, shards, func(j *job) {
		j.source.Latency, j.config.GiveUpAfter = 0, 24*time.Hour
		j.failsTimes(faults, transient())
		j.complete()
		short, long, same := 0, 0, 0
		for number := 1; number <= shards; number++ {
			gaps := j.gaps(number)
			if len(gaps) != faults {
				j.Fatalf("shard %d: %d pauses, want %d", number, len(gaps), faults)
			}
			for i, gap := range gaps {
				bound := min(30*time.Second, 500*time.Millisecond<<min(i, 10))
				if gap < 0 || gap >= bound {
					j.Errorf("pause %d of shard %d is %s, not in [0, %s)", i+1, number, gap, bound)
				}
				if i >= 6 && gap < 10*time.Second {
					short++
				}
				if i >= 6 && gap > 20*time.Second {
					long++
				}
				if number > 1 && gap == j.gaps(1)[i] {
					same++
				}
			}
		}
		// 272 of the pauses are drawn from half a minute: each third of it gets about 91.
		if short < 40 || long < 40 || same > 0 {
			j.Errorf("%d pauses short, %d long, %d the same as another shard's: this is no full jitter", short, long, same)
		}
	})
}

// Six faults follow on each page, the first of them in the attempt that committed it. The first pause after a commit must be a short one, however long the
// pauses before it were.
func TestACommitEndsTheRowOfFaults(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.source.Latency, j.source.Page = 0, 10
		faults := 0
		j.source.Answer = func(r request) error {
			if r.number == 0 && faults%7 == 6 {
				faults++
				return nil
			}
			faults++
			return transient()
		}
		j.complete()
		gaps := j.gaps(1)
		if len(gaps) < 60 {
			j.Fatalf("only %d pauses", len(gaps))
		}
		for i, gap := range gaps {
			if bound := 500 * time.Millisecond << (i % 6); gap > bound {
				j.Errorf("pause %d, number %d after a commit, is %s, longer than %s", i+1, i%6, gap, bound)
			}
		}
	})
}

func TestTheAPIsOwnWaitIsKept(t *testing.T) {
	const after = 70 * time.Second
	inJob(t, 6, func(j *job) {
		j.source.Latency = 0
		j.failsTimes(1, &shard.TransientError{Err: errWeather, After: after})
		j.complete()
		came := map[time.Duration]int{}
		for number := 1; number <= 6; number++ {
			gap := j.gaps(number)[0]
			if gap < after || gap > after+500*time.Millisecond {
				j.Errorf("shard %d came back after %s, it was told %s", number, gap, after)
			}
			came[gap]++
		}
		if len(came) < 6 {
			j.Errorf("shards came back together: %v", came)
		}
	})
}

// The hint is for one pause; a fault without one is waited out as usual.
func TestTheAPIsOwnWaitIsKeptOnce(t *testing.T) {
	inJob(t, 1, func(j *job) {
		j.source.Latency = 0
		n := 0
		j.source.Answer = func(request) error {
			switch n++; n {
			case 1:
				return &shard.TransientError{Err: errWeather, After: time.Minute}
			case 2:
				return transient()
			}
			return nil
		}
		j.complete()
		if gap := j.gaps(1)[1]; gap > time.Second {
			j.Errorf("the pause after a fault without a hint is %s", gap)
		}
	})
}

// With a single fetcher, a shard that waits out its faults must not keep the other from it.
func TestAPauseHoldsNoFetchersPlace(t *testing.T) {
	inJob(t, 2, func(j *job) {
		j.config.Fetchers = 1
		began := time.Now()
		n := 0
		j.source.Answer = func(r request) error {
			if j.shardOf(r) == 2 && n < 2 {
				n++
				return &shard.TransientError{Err: errWeather, After: 5 * time.Minute}
			}
			return nil
		}
		j.complete()
		if took := j.store.doneAt(1).Sub(began); took > 2*time.Second {
			j.Errorf("the shard without a fault took %s", took)
		}
		if took := j.store.doneAt(2).Sub(began); took < 10*time.Minute {
			j.Errorf("the shard with the faults took only %s: it did not wait", took)
		}
	})
}
