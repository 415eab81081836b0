package apisim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"time"

	"github.com/google/uuid"
)

// serveSingle answers GET /api/v1/events/:id, out of the list's limit. Only its 404 is recorded.
func (x *exchange) serveSingle() {
	if !x.open() {
		return
	}
	id := path.Base(x.r.URL.Path)
	serial, ok := x.findEvent(id)
	if !ok {
		x.refuse(problem{http.StatusNotFound, fmt.Sprintf("Event with id '%s' not found", id), "EVENT_NOT_FOUND"})
		return
	}
	x.log.RequestID, x.log.Events = uuid.NewString(), 1
	b := x.appendSingle([]byte(`{"data":`), serial)
	x.send(http.StatusOK, contentJSON, fmt.Appendf(b, `,"meta":{"requestId":"%s"}}`, x.log.RequestID))
}

func (x *exchange) findEvent(id string) (int64, bool) {
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != 36 {
		return 0, false
	}
	return x.data.At(time.Now()).Find(parsed)
}

func (x *exchange) appendSingle(b []byte, serial int64) []byte {
	r := x.renderers.Get().(*renderer)
	defer x.renderers.Put(r)
	return r.append(b, serial, x.data.timeline.at(serial), formNumber)
}

// mostBulk is how many ids a bulk request may name.
const mostBulk = 100

// serveBulk answers POST /api/v1/events/bulk. With more than one id it has been seen to answer 500, and to work.
func (x *exchange) serveBulk() {
	if !x.open() {
		return
	}
	var wanted struct {
		IDs *[]string `json:"ids"`
	}
	err := json.NewDecoder(http.MaxBytesReader(x.w, x.r.Body, 1<<20)).Decode(&wanted)
	switch {
	case err != nil || wanted.IDs == nil:
		x.refuse(problem{http.StatusBadRequest, `Request body must contain an "ids" array`, "INVALID_BODY"})
	case len(*wanted.IDs) > mostBulk:
		x.refuse(problem{http.StatusBadRequest, fmt.Sprintf("At most %d ids are allowed", mostBulk), "TOO_MANY_IDS"})
	case len(*wanted.IDs) > 1 && !x.config.BulkWorks:
		x.refuse(problem{http.StatusInternalServerError, "An unexpected error occurred", "INTERNAL_ERROR"})
	default:
		x.sendBulk(*wanted.IDs)
	}
}

func (x *exchange) sendBulk(ids []string) {
	b, missing := []byte(`{"data":[`), []string{}
	for _, id := range ids {
		serial, ok := x.findEvent(id)
		if !ok {
			missing = append(missing, id)
			continue
		}
		if x.log.Events > 0 {
			b = append(b, ',')
		}
		b = x.appendSingle(b, serial)
		x.log.Events++
	}
	x.log.RequestID = uuid.NewString()
	names, _ := json.Marshal(missing) // strings are always encoded
	x.send(http.StatusOK, contentJSON, fmt.Appendf(b, `],"missing":%s,"meta":{"returned":%d,"requestId":"%s"}}`,
		names, x.log.Events, x.log.RequestID))
}
