package sink

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"sluice/shard"
)

// timestamptz returns i for PostgreSQL, which has both infinities, too.
func timestamptz(i shard.Instant) pgtype.Timestamptz {
	switch i {
	case shard.Past:
		return pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	case shard.Future:
		return pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}
	}
	return pgtype.Timestamptz{Time: i.Time(), Valid: true}
}

// timestamptzOrNull is timestamptz for instants that are 0 if they are not known.
func timestamptzOrNull(i shard.Instant) pgtype.Timestamptz {
	if i == 0 {
		return pgtype.Timestamptz{}
	}
	return timestamptz(i)
}

// instant is the reverse of timestamptz; null is 0.
func instant(t pgtype.Timestamptz) shard.Instant {
	switch {
	case !t.Valid:
		return 0
	case t.InfinityModifier == pgtype.NegativeInfinity:
		return shard.Past
	case t.InfinityModifier == pgtype.Infinity:
		return shard.Future
	}
	return shard.InstantOf(t.Time)
}

// key returns the two columns of a resume point, both null if there is none.
func key(k shard.Key) (at pgtype.Timestamptz, id pgtype.UUID) {
	if k.IsZero() {
		return at, id
	}
	return timestamptz(k.At), pgtype.UUID{Bytes: k.ID, Valid: true}
}

func keyOf(at pgtype.Timestamptz, id pgtype.UUID) shard.Key {
	if !at.Valid {
		return shard.Key{}
	}
	return shard.Key{At: instant(at), ID: uuid.UUID(id.Bytes)}
}

// orNull returns nil, which is SQL's null, for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// orZero is the reverse of orNull.
func orZero[T any](v *T) T {
	if v == nil {
		var zero T
		return zero
	}
	return *v
}

// timeOrNull is orNull for times, which are zero in several ways.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// interval returns d for PostgreSQL, in microseconds.
func interval(d time.Duration) pgtype.Interval {
	return pgtype.Interval{Microseconds: d.Microseconds(), Valid: true}
}
