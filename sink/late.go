package sink

import "time"

// Late counts the events that a round stored although an earlier one had passed them, by how far they lay behind its watermark.
type Late struct {
	Minute     int64         `json:"up_to_a_minute"`
	TenMinutes int64         `json:"up_to_ten_minutes"`
	Hour       int64         `json:"up_to_an_hour"`
	Older      int64         `json:"older"`
	Most       time.Duration `json:"most"` // how far the oldest of them lay behind
}

// Total is the number of all late events.
func (l Late) Total() int64 { return l.Minute + l.TenMinutes + l.Hour + l.Older }

// add counts an event that lay so far behind.
func (l *Late) add(age time.Duration) {
	switch {
	case age <= time.Minute:
		l.Minute++
	case age <= 10*time.Minute:
		l.TenMinutes++
	case age <= time.Hour:
		l.Hour++
	default:
		l.Older++
	}
	l.Most = max(l.Most, age)
}
