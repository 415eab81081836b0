package apisim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// serveSingle answers GET /api/v1/events/:id, out of the list's limit. Only its 404 is recorded.
func (x *exchange) serveSingle() {
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

// maxBulk is how many ids a bulk request may name.
const maxBulk = 100

// serveBulk answers POST /api/v1/events/bulk. With more than one id it has been seen to answer 500, and to work.
func (x *exchange) serveBulk() {
	var wanted struct {
		IDs *[]string `json:"ids"`
	}
	err := json.NewDecoder(http.MaxBytesReader(x.w, x.r.Body, 1<<20)).Decode(&wanted)
	switch {
	case err != nil || wanted.IDs == nil:
		x.refuse(problem{http.StatusBadRequest, `Request body must contain an "ids" array`, "INVALID_BODY"})
	case len(*wanted.IDs) > maxBulk:
		x.refuse(problem{http.StatusBadRequest, fmt.Sprintf("At most %d ids are allowed", maxBulk), "TOO_MANY_IDS"})
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

// handedIn holds the submissions of each key.
type handedIn struct {
	mu sync.Mutex
	by map[string][]string // JSON
}

const (
	maxSubmissions = 5         // of a key
	largestBody    = 512 << 20 // 3,000,000 ids are 111 MB
)

// serveSubmitted answers GET /api/v1/submissions. The shape of its answer is not recorded.
func (x *exchange) serveSubmitted() {
	x.handedIn.mu.Lock()
	defer x.handedIn.mu.Unlock()
	x.send(http.StatusOK, contentJSON, fmt.Appendf(nil, `{"success":true,"data":[%s]}`, strings.Join(x.handedIn.by[x.key], ",")))
}

// serveSubmit answers POST /api/v1/submissions. The ids are counted, not checked.
func (x *exchange) serveSubmit() {
	repository, count, err := x.readSubmission()
	if err != nil || repository == "" || count == 0 {
		x.refuse(problem{http.StatusBadRequest, "Event ids and a GitHub repository URL are required", "INVALID_BODY"})
		return
	}
	x.handedIn.mu.Lock()
	defer x.handedIn.mu.Unlock()
	number := len(x.handedIn.by[x.key]) + 1
	if number > maxSubmissions {
		x.refuse(problem{http.StatusForbidden, fmt.Sprintf("Maximum of %d submissions reached", maxSubmissions), "SUBMISSION_LIMIT_REACHED"})
		return
	}
	took := x.keys.since(x.key, time.Now())
	submission := fmt.Sprintf(`{"submissionId":"%s","eventCount":%d,"githubRepoUrl":%s,"submittedAt":"%s","timeToSubmit":`+
		`{"ms":%d,"seconds":%.0f,"minutes":%.1f,"formatted":"%dm %ds"},"submissionNumber":%d,"remainingSubmissions":%d}`,
		uuid.NewString(), count, jsonString(repository), time.Now().UTC().Format(isoMillis),
		took.Milliseconds(), took.Seconds(), took.Minutes(), int(took.Minutes()), int(took.Seconds())%60,
		number, maxSubmissions-number)
	x.handedIn.by[x.key] = append(x.handedIn.by[x.key], submission)
	x.send(http.StatusOK, contentJSON, fmt.Appendf(nil, `{"success":true,"data":%s,"message":"Submission #%d received with %s event IDs. `+
		`%d submissions remaining."}`, submission, number, thousands(count), maxSubmissions-number))
}

// readSubmission reads both forms: one id a line, and JSON whose ids are one string of lines.
func (x *exchange) readSubmission() (repository string, count int, err error) {
	body := http.MaxBytesReader(x.w, x.r.Body, largestBody)
	if strings.HasPrefix(x.r.Header.Get("Content-Type"), "text/plain") {
		count, err = countLines(body)
		return x.r.URL.Query().Get("github_repo"), count, err
	}
	var form struct {
		IDs           string `json:"ids"`
		GitHubRepoURL string `json:"githubRepoUrl"`
	}
	if err := json.NewDecoder(body).Decode(&form); err != nil {
		return "", 0, err
	}
	count, err = countLines(strings.NewReader(form.IDs))
	return form.GitHubRepoURL, count, err
}

func countLines(r io.Reader) (n int, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) > 0 {
			n++
		}
	}
	return n, lines.Err()
}

// thousands writes 3000000 as 3,000,000.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// serveManifest answers GET /api/v1.
func (x *exchange) serveManifest() {
	x.send(http.StatusOK, contentJSON, []byte(`{"name":"DataSync Analytics API","version":"v1","endpoints":`+
		`{"events":"/api/v1/events","sessions":"/api/v1/sessions","metrics":"/api/v1/metrics"},`+
		`"authentication":{"method":"API Key","header":"X-API-Key"}}`))
}

// serveUnknown answers for an unknown path under /api: it checks the key, and counts against no limit.
func (x *exchange) serveUnknown() {
	x.refuse(problem{http.StatusNotFound, "The requested endpoint does not exist", "ENDPOINT_NOT_FOUND"})
}

// serveAlive answers GET /health, as the web server in front does.
func (x *exchange) serveAlive() { x.write(http.StatusOK, "text/plain", []byte("OK")) }

// serveHealth answers GET /internal/health. Its JSON was not recorded, only that it reports on the database and on Redis.
func (x *exchange) serveHealth() {
	x.send(http.StatusOK, contentJSON, fmt.Appendf(nil, `{"status":"healthy","timestamp":"%s","services":`+
		`{"database":{"status":"up","latency":2},"redis":{"status":"up","latency":1}}}`, time.Now().UTC().Format(isoMillis)))
}

// serveStats answers GET /internal/stats.
func (x *exchange) serveStats() {
	if !x.config.OpenStats && !x.authorize() || x.disturb() || x.restOther() != nil {
		return
	}
	v := x.data.At(time.Now())
	events := v.Events()
	sessions := min(v.sessionTotal(), events)
	b := fmt.Appendf(nil, `{"counts":{"users":%d,"sessions":%d,"events":%d,"metrics":0},"distributions":{"eventTypes":[`,
		min(x.data.userCount, events), sessions, events+x.config.TotalError)
	b = append(appendShares(b, types, events), `],"deviceTypes":[`...)
	b = append(appendShares(b, devices, sessions), `]},`...)
	x.send(http.StatusOK, contentJSON, fmt.Appendf(b, `"meta":{"generatedAt":"%s"},"cache":{"status":"MISS","ttl":300,`+
		`"redis":{"keys":2,"memory":"7.62M","hitRate":"83.4%%"}}}`, time.Now().UTC().Format(isoMillis)))
}

// appendShares writes how many of a total have each value: as many as expected, and the first one the rest.
func appendShares(b []byte, shares []share, total int64) []byte {
	all, rest := uint64(0), total
	for _, s := range shares {
		all += s.events
	}
	counts := make([]int64, len(shares))
	for i := len(shares) - 1; i > 0; i-- {
		counts[i] = int64(float64(total) * float64(shares[i].events) / float64(all))
		rest -= counts[i]
	}
	counts[0] = rest
	for i, s := range shares {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"type":"%s","count":%d}`, s.value, counts[i])
	}
	return b
}

// serveMetrics answers GET /api/v1/metrics: there are none.
func (x *exchange) serveMetrics() {
	x.log.RequestID = uuid.NewString()
	x.writeCache("MISS")
	x.send(http.StatusOK, contentJSON, fmt.Appendf(nil, `{"data":[],"pagination":{"limit":%d,"hasMore":false,"nextCursor":null,`+
		`"cursorExpiresIn":null},"meta":{"total":0,"returned":0,"requestId":"%s"}}`,
		x.pageLimit(x.r.URL.Query(), x.config.ListDefault), x.log.RequestID))
}

// serveOptions answers 504, as the balancer does to every OPTIONS.
func (x *exchange) serveOptions() { x.sendBalancer(http.StatusGatewayTimeout) }

// serveDashboard answers for every path outside of the API: the dashboard's single page.
func (x *exchange) serveDashboard() {
	x.write(http.StatusOK, "text/html", []byte("<!doctype html><html><head><title>DataSync Analytics</title></head>"+
		`<body><div id="root"></div></body></html>`))
}
