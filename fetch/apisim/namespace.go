package apisim

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// mix is the finalizer of SplitMix64: a bijection in which every bit of the input reaches every bit of the result.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// golden spreads neighboring numbers apart before they are mixed.
const golden = 0x9e3779b97f4a7c15

// draw returns the number that a key holds at place i of its sequence.
func draw(key uint64, i int64) uint64 { return mix(key + golden*uint64(i)) }

// A namespace gives random-looking version 4 UUIDs to the serials 0, 1, 2, …, without a list: the 60 free bits of a UUID's
// first half are a keyed permutation of the serial, so that no two are equal and the serial can be read back; the 62 free
// bits of its second half follow from the serial.
type namespace struct {
	rounds [4]uint64
	tail   uint64
}

// maxSerials is how many serials a namespace has: as many as the permutation keeps apart.
const maxSerials = 1 << 60

func newNamespace(seed uint64, purpose string) namespace {
	var n namespace
	key := keyOf(seed, purpose)
	for i := range n.rounds {
		n.rounds[i] = draw(key, int64(i))
	}
	n.tail = draw(key, int64(len(n.rounds)))
	return n
}

// keyOf makes a key of its own for every purpose.
func keyOf(seed uint64, purpose string) uint64 {
	key := mix(seed + golden)
	for _, c := range []byte(purpose) {
		key = mix(key ^ uint64(c))
	}
	return key
}

const half = 1<<30 - 1

// scatter is a Feistel network over two halves of 30 bits.
func (n *namespace) scatter(serial int64) uint64 {
	l, r := uint64(serial)>>30, uint64(serial)&half
	for _, k := range &n.rounds {
		l, r = r, l^round(r, k)
	}
	return l<<30 | r
}

// gather undoes scatter.
func (n *namespace) gather(scattered uint64) int64 {
	l, r := scattered>>30, scattered&half
	for i := len(n.rounds) - 1; i >= 0; i-- {
		l, r = r^round(l, n.rounds[i]), l
	}
	return int64(l<<30 | r)
}

// round needs not be invertible; the top bits of a product depend on all bits of its factor.
func round(x, key uint64) uint64 {
	return (x ^ key) * (key | 1) >> 34
}

// words returns the UUID of a serial as two big-endian words.
func (n *namespace) words(serial int64) (hi, lo uint64) {
	const version, variant = 4 << 12, 2 << 62
	s := n.scatter(serial)
	hi = s>>12<<16 | version | s&0xfff
	lo = draw(n.tail, serial)>>2 | variant
	return hi, lo
}

// uuid returns the UUID of a serial.
func (n *namespace) uuid(serial int64) (id uuid.UUID) {
	hi, lo := n.words(serial)
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id
}

// serial returns the serial that has the UUID, if one below end has it.
func (n *namespace) serial(id uuid.UUID, end int64) (int64, bool) {
	hi := binary.BigEndian.Uint64(id[:8])
	serial := n.gather(hi>>16<<12 | hi&0xfff)
	return serial, serial < end && n.uuid(serial) == id
}
