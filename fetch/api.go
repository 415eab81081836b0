package fetch

import (
	"context"
	"errors"
	"net/http"
	"time"

	"sluice/fetch/quota"
	"sluice/shard"
)

// API describes one HTTP API to a Client: how a page is asked for, at which doors, and what an answer means. A door is an
// endpoint with a quota of its own, and has the name of that quota. The Client does the rest: it waits for quota, sends,
// reads, tries again and walks on.
//
// All methods are called by many goroutines at once. The Client shows their errors to people: they must not hold a secret.
type API interface {
	// First returns the question for the first page of a walk that begins at a position. An API that has that page at hand
	// already returns it as well, and nothing is asked.
	First(from shard.Position) (Question, []shard.Page)

	// Doors returns the doors that are open to the question now. It may wait for what opens one, such as a token. If there is
	// no door, it returns the reason as an error, classified as for Page.
	Doors(ctx context.Context, q *Question) ([]shard.Endpoint, error)

	// Request builds the request for a page of the given number of records. It is called when a slot of the door's quota has been taken,
	// which may be minutes after Doors. ErrShut means that the door closed meanwhile: the slot is given back.
	Request(ctx context.Context, q *Question, door shard.Endpoint, records int) (*Request, error)

	// Quota returns what an answer says about the quota of its door; Answer.Quota reads the usual headers. An answer that it
	// calls refused is not given to Page: the question waits for quota once more.
	Quota(a *Answer) quota.Answer

	// Page reads an answer. Nothing in the page may point into the answer's body, which is used again. Every fault comes as
	// an error that says what to do next:
	//
	//	ErrAgain               put the question again at once, as after a token was dropped, or a door closed
	//	ErrLarge               ask for half as many records
	//	*shard.TransientError  try again after a pause, a few times in a row
	//	shard.ErrCursorDead    the cursor is dead: reading goes on from the last record instead
	//	*shard.StuckError      the shard fails unless a few more attempts help
	//	*shard.StopError       the run ends: the API refuses the key, for instance
	//	any other error        the shard fails
	Page(q *Question, a *Answer) (Page, error)
}

// ErrShut means that a door closed while a question waited for its quota.
var ErrShut = errors.New("the endpoint is closed")

// ErrAgain means that the API description has learned something from an answer, and that the same question is worth putting
// again at once, without a pause. It costs one more request of the quota. Answer.Again counts how often that was so.
var ErrAgain = errors.New("the question is put again")

// ErrLarge means that a body is larger than a page may be.
var ErrLarge = errors.New("the body is larger than a page may be")

// Question is how one page is asked for. The Client makes those for the second page of a walk and the ones after it from the
// cursor of the page before.
type Question struct {
	Start   shard.Start
	Cursor  string    // for shard.ByCursor
	Expires time.Time // of the cursor; zero means unknown
	Until   int64     // for shard.ByUntil, in epoch milliseconds
	After   shard.Key // the record before the page, so that an answer can be checked; zero means that there is none
	Vary    int       // how many records fewer to ask for, so that the request differs from an earlier one
	Max     int       // records that may be asked for, because more did not fit into a body; zero means no bound
	Stored  bool      // its cursor is not of the page before, but of a checkpoint, which may be old
	Note    any       // of the API description, for itself
}

// dead reports whether the question's cursor has died.
func (q *Question) dead() bool { return q.Start == shard.ByCursor && !Alive(q.Cursor, q.Expires) }

// Alive reports whether a cursor is there and has not expired.
func Alive(cursor string, expires time.Time) bool {
	return cursor != "" && (expires.IsZero() || time.Now().Before(expires))
}

// Request is a request that an API description built.
type Request struct {
	*http.Request
	Secrets []string // all that it carries: they are hidden in errors and logs
	Pass    any      // what opened the door, such as a token; the Answer has it again
}

// Page is a page as the API description read it, with what else the answer says. The Client fills in how it was asked for, how
// large it was and how long it took.
type Page struct {
	shard.Page
	Limit int       // records in a full page, as the API says; zero means it does not say
	Seen  time.Time // when the API saw the request, by its own clock; zero means that it does not say
}
