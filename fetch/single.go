package fetch

import "sluice/shard"

// DecodeRecord decodes the bytes of one record, as a dead letter keeps them: with the decoder of this program, which may be
// newer than the one that refused them. A reject that is not nil says why it is still no event.
func DecodeRecord(raw []byte) (shard.Event, *shard.Reject) {
	b := &body{}
	newDecoder().single(b, raw)
	if len(b.rejects) > 0 {
		return shard.Event{}, &b.rejects[0]
	}
	return b.events[0], nil
}
