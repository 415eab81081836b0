package decode

import "sluice/shard"

// Record decodes the bytes of one record, as a dead letter keeps them: with the decoder of this program, which may be
// newer than the one that refused them. A reject that is not nil says why it is still no event.
func Record(raw []byte) (shard.Event, *shard.Reject) {
	b := &Page{}
	New().single(b, raw)
	if len(b.Rejects) > 0 {
		return shard.Event{}, &b.Rejects[0]
	}
	return b.Events[0], nil
}
