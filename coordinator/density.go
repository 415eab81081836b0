package coordinator

import (
	"cmp"
	"slices"

	"sluice/shard"
)

// fewest events tell a density.
const fewest = 16

// evenShare of the weight lies evenly on the time whatever the samples say: a few pages say little of what lies between them,
// and so no window becomes longer than 1/evenShare of those that equal time would give.
const evenShare = 0.5

// density is how much of the events is expected where, as pieces of time that follow each other. The weights sum up to 1.
type density []piece

type piece struct {
	start  shard.Instant
	length float64 // in microseconds
	weight float64
}

func middle(s shard.Sample) shard.Instant { return s.From + (s.To-s.From)/2 }

// densityOf takes the sample nearest in time for the density at an instant; nil where there are none between from and to.
func densityOf(from, to shard.Instant, samples []shard.Sample) density {
	samples = slices.DeleteFunc(slices.Clone(samples), func(s shard.Sample) bool {
		return s.Events < fewest || s.To < s.From || middle(s) < from || middle(s) > to
	})
	if len(samples) == 0 || to <= from {
		return nil
	}
	slices.SortFunc(samples, func(a, b shard.Sample) int {
		return cmp.Or(cmp.Compare(middle(a), middle(b)), cmp.Compare(a.Rate(), b.Rate()))
	})
	var d density
	sum, start := 0.0, from
	for i, s := range samples {
		end := to
		if i+1 < len(samples) {
			end = middle(s) + (middle(samples[i+1])-middle(s))/2
		}
		p := piece{start: start, length: float64(end - start)}
		p.weight = p.length * s.Rate()
		d, sum, start = append(d, p), sum+p.weight, end
	}
	return d.mix(sum, float64(to-from))
}

// mix lays evenShare of the weight evenly on the time, and the rest as it is.
func (d density) mix(sum, length float64) density {
	for i := range d {
		d[i].weight = evenShare*d[i].length/length + (1-evenShare)*d[i].weight/sum
	}
	return d
}

// quantile returns the instant with so much of the weight before it, on a whole millisecond.
func (d density) quantile(share float64) shard.Instant {
	last := d[len(d)-1]
	for _, p := range d {
		if share < p.weight {
			return onMilli(p.start + shard.Instant(p.length*share/p.weight))
		}
		share -= p.weight
	}
	return onMilli(last.start + shard.Instant(last.length))
}

func onMilli(i shard.Instant) shard.Instant { return shard.Instant(i.CeilMilli() * 1000) }
