package sink

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"

	"github.com/jackc/pgx/v5"

	"sluice/coordinator/ledger"
	"sluice/shard"
)

// The reasons of dead letters that the database gives; the others are fetch's.
const (
	ReasonConflict = "conflict" // the table has the id with other content
	ReasonRefused  = "refused"  // the table refuses the row
)

// insertRejects makes dead letters of rejects, which must be sorted by their hash. It returns how many were new, and how many of
// the known ones have no readable id.
func insertRejects(ctx context.Context, tx pgx.Tx, shardID int64, rejects []shard.Reject) (fresh, knownBlind int64, err error) {
	rows, _ := tx.Query(ctx, insertDeadLetters, append([]any{shardID}, columnsOf(rejects)...)...)
	hashes, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return 0, 0, err
	}
	inserted := make(map[[32]byte]bool, len(hashes))
	for _, hash := range hashes {
		inserted[[32]byte(hash)] = true
	}
	for i := range rejects {
		r := &rejects[i]
		switch {
		case inserted[r.SHA256]:
			delete(inserted, r.SHA256) // the same bytes again in this batch are known
		case r.EventID == "":
			knownBlind++
		}
	}
	return int64(len(hashes)), knownBlind, nil
}

// A known one is skipped without an error: reading a page again must not abort the batch.
const insertDeadLetters = `
insert into dead_letters (job_id, shard_id, seq, sha256, raw, raw_bytes, event_id, reason, detail, endpoint)
select s.job_id, s.id, s.seq, r.sha256, r.raw, r.raw_bytes, nullif(r.event_id, ''), r.reason, r.detail, r.endpoint
from ingestion_shards s,
     unnest($2::bytea[], $3::bytea[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[])
     with ordinality as r(sha256, raw, raw_bytes, event_id, reason, detail, endpoint, n)
where s.id = $1
order by r.n
on conflict (job_id, sha256) do nothing
returning sha256`

func columnsOf(rejects []shard.Reject) []any {
	n := len(rejects)
	hashes, raws, sizes := make([][]byte, n), make([][]byte, n), make([]int64, n)
	ids, reasons, details, endpoints := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i := range rejects {
		r := &rejects[i]
		hashes[i], raws[i], sizes[i] = r.SHA256[:], nonNil(r.Raw), int64(r.RawBytes)
		ids[i], reasons[i], details[i], endpoints[i] = printable(r.EventID), printable(r.Reason), printable(r.Detail), cmp.Or(string(r.Endpoint), "none")
	}
	return []any{hashes, raws, sizes, ids, reasons, details, endpoints}
}

func nonNil(raw []byte) []byte {
	if raw == nil {
		return []byte{}
	}
	return raw
}

// printable makes text of a malformed record acceptable to PostgreSQL: the exact bytes are in raw.
func printable(s string) string {
	const longest = 4 << 10
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// rejectOf makes a reject of an event that was decoded but cannot become a row. The bytes in which it was received are gone by
// then, so raw is the event encoded again, in the API's form and always the same, and detail says so.
func rejectOf(e *shard.Event, reason, detail string) shard.Reject {
	properties := json.RawMessage(e.Properties)
	if !json.Valid(properties) {
		properties, _ = json.Marshal(e.Properties) // cannot fail for a string
	}
	raw, _ := json.Marshal(received{
		ID: e.ID.String(), SessionID: e.Session.String(), UserID: e.User.String(), Type: e.Type, Name: e.Name,
		Properties: properties, Timestamp: e.At.String(),
		Session: receivedSession{ID: e.Session.String(), DeviceType: e.Device, Browser: e.Browser},
	})
	return shard.Reject{
		Raw: raw, RawBytes: len(raw), SHA256: sha256.Sum256(raw), EventID: e.ID.String(), Reason: reason,
		Detail: detail + " (raw is the decoded event, written again)",
	}
}

// received is an event as the API sends it.
type received struct {
	ID         string          `json:"id"`
	SessionID  string          `json:"sessionId"`
	UserID     string          `json:"userId"`
	Type       string          `json:"type"`
	Name       string          `json:"name"`
	Properties json.RawMessage `json:"properties"`
	Timestamp  string          `json:"timestamp"`
	Session    receivedSession `json:"session"`
}

type receivedSession struct {
	ID         string `json:"id"`
	DeviceType string `json:"deviceType"`
	Browser    string `json:"browser"`
}

// listedRaw is how many bytes of a record a list shows.
const listedRaw = 200

// wholeRaw is more than is kept of any record.
const wholeRaw = 1 << 30

// DeadLetters returns a page of the job's dead letters, oldest first, with the beginning of their bytes.
func (p *Postgres) DeadLetters(ctx context.Context, q ledger.DeadLetterQuery) ([]ledger.DeadLetter, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	shown := listedRaw
	if q.Whole {
		shown = wholeRaw
	}
	rows, _ := p.pool.Query(ctx, selectDeadLetters, q.JobID, shown, q.Reason, q.AfterID, q.Limit, q.IDs, q.Replayed)
	letters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.DeadLetter])
	return letters, p.ledgerError(err, "list the dead letters")
}

const selectDeadLetters = `
select d.id, s.shard, d.seq, d.sha256, substring(d.raw for $2), d.raw_bytes, coalesce(d.event_id, ''), d.reason, d.detail,
       d.endpoint, d.received_at, coalesce(d.replayed_at, '0001-01-01 00:00:00+00')
from dead_letters d join ingestion_shards s on s.id = d.shard_id
where d.job_id = $1 and ($3 = '' or d.reason = $3) and d.id > $4 and ($6::bigint[] is null or d.id = any($6))
  and ($7 or d.replayed_at is null)
order by d.id limit $5`

// DeadLetter returns one dead letter of the job with all its bytes; nil if there is none of that id.
func (p *Postgres) DeadLetter(ctx context.Context, jobID, id int64) (*ledger.DeadLetter, error) {
	letters, err := p.DeadLetters(ctx, ledger.DeadLetterQuery{JobID: jobID, IDs: []int64{id}, Whole: true, Replayed: true})
	if err != nil || len(letters) == 0 {
		return nil, err
	}
	return &letters[0], nil
}

// ReasonCount is how many dead letters have a reason.
type ReasonCount struct {
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
}

// DeadLetterReasons counts the job's dead letters by reason, the most frequent first, without those that were replayed.
func (p *Postgres) DeadLetterReasons(ctx context.Context, jobID int64) ([]ReasonCount, error) {
	rows, _ := p.pool.Query(ctx, countReasons, jobID)
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ReasonCount])
	return counts, p.ledgerError(err, "count the dead letters")
}

const countReasons = `
select reason, count(*) from dead_letters where job_id = $1 and replayed_at is null group by reason order by count(*) desc, reason`
