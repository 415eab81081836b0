package apisim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// handedIn are the submissions of each key.
type handedIn struct {
	mu sync.Mutex
	by map[string][]string // JSON
}

const (
	mostSubmissions = 5         // of a key
	largestBody     = 512 << 20 // 3,000,000 ids are 111 MB
)

// serveSubmitted answers GET /api/v1/submissions. The shape of its answer is not recorded.
func (x *exchange) serveSubmitted() {
	if !x.open() {
		return
	}
	x.handedIn.mu.Lock()
	defer x.handedIn.mu.Unlock()
	x.send(http.StatusOK, contentJSON, fmt.Appendf(nil, `{"success":true,"data":[%s]}`, strings.Join(x.handedIn.by[x.key], ",")))
}

// serveSubmit answers POST /api/v1/submissions. The ids are counted, not looked at.
func (x *exchange) serveSubmit() {
	if !x.open() {
		return
	}
	repository, count, err := x.readSubmission()
	if err != nil || repository == "" || count == 0 {
		x.refuse(problem{http.StatusBadRequest, "Event ids and a GitHub repository URL are required", "INVALID_BODY"})
		return
	}
	x.handedIn.mu.Lock()
	defer x.handedIn.mu.Unlock()
	number := len(x.handedIn.by[x.key]) + 1
	if number > mostSubmissions {
		x.refuse(problem{http.StatusForbidden, fmt.Sprintf("Maximum of %d submissions reached", mostSubmissions), "SUBMISSION_LIMIT_REACHED"})
		return
	}
	took := x.keys.since(x.key, time.Now())
	submission := fmt.Sprintf(`{"submissionId":"%s","eventCount":%d,"githubRepoUrl":%s,"submittedAt":"%s","timeToSubmit":`+
		`{"ms":%d,"seconds":%.0f,"minutes":%.1f,"formatted":"%dm %ds"},"submissionNumber":%d,"remainingSubmissions":%d}`,
		uuid.NewString(), count, jsonString(repository), time.Now().UTC().Format(isoMillis),
		took.Milliseconds(), took.Seconds(), took.Minutes(), int(took.Minutes()), int(took.Seconds())%60,
		number, mostSubmissions-number)
	if x.handedIn.by == nil {
		x.handedIn.by = make(map[string][]string)
	}
	x.handedIn.by[x.key] = append(x.handedIn.by[x.key], submission)
	x.send(http.StatusOK, contentJSON, fmt.Appendf(nil, `{"success":true,"data":%s,"message":"Submission #%d received with %s event IDs. `+
		`%d submissions remaining."}`, submission, number, thousands(count), mostSubmissions-number))
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
