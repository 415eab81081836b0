package quota

import "slices"

// hitsKnown is what is known of answers from the API's cache. Some people say that they are counted, some that they are not (api.md,
// 4.4), so it is found out.
type hitsKnown uint8

const (
	hitsUnknown hitsKnown = iota
	hitsCounted
	hitsFree
)

// weigh finds out whether an answer from the cache was counted. Where every answer that was counted announces the count, one that
// does not was given before anything was counted. The other endpoint, which announces nothing, has the same cache; there it is
// believed until somebody is refused.
func (p *Pacer) weigh(q *quota, a Answer) Answer {
	if !a.Cached || a.Refused {
		return a
	}
	if q.known == Announced {
		p.hits = hitsFree
		if a.Limit > 0 {
			p.hits = hitsCounted
		}
		for _, q := range p.quotas {
			q.dispel(p.hits)
		}
	}
	a.Free = p.hits == hitsFree && !q.hitsCount
	a.Cached = p.hits == hitsUnknown
	return a
}

// dispel ends the doubt about answers from the cache.
func (q *quota) dispel(known hitsKnown) {
	for _, r := range slices.Clone(q.log) {
		if r.cached && known == hitsFree {
			q.log.remove(r)
		}
		r.cached = false
	}
	switch {
	case q.doubt == 0:
	case known == hitsFree:
		q.settle(max(1, q.ceiling-q.doubt))
	default:
		q.settle(q.ceiling)
	}
	q.doubt = 0
}
