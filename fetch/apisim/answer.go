package apisim

import (
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const contentJSON = "application/json; charset=utf-8"

// set writes a header in the spelling of the real API, which net/http would change.
func (x *exchange) set(name, value string) { x.w.Header()[name] = []string{value} }

// send writes a whole answer with the headers that Express adds to every answer.
func (x *exchange) send(status int, content string, body []byte) {
	if x.log.RequestID == "" {
		x.log.RequestID = uuid.NewString()
	}
	x.set("X-Powered-By", "Express")
	x.set("Access-Control-Allow-Origin", "*")
	x.set("X-Request-ID", x.log.RequestID)
	x.set("ETag", etag(x.log.RequestID, len(body)))
	x.write(status, content, body)
}

// etag looks like the real one: the length, and a hash. The hash is of the request's id, which is in the body, and cheaper.
func etag(requestID string, length int) string {
	sum := sha1.Sum([]byte(requestID))
	return fmt.Sprintf(`W/"%x-%s"`, length, base64.RawStdEncoding.EncodeToString(sum[:]))
}

// write writes a whole answer. A fault may cut it: the length that was promised is not reached.
func (x *exchange) write(status int, content string, body []byte) {
	if x.config.Gzip && strings.Contains(x.r.Header.Get("Accept-Encoding"), "gzip") && len(body) > 1024 {
		body = compress(body)
		x.set("Content-Encoding", "gzip")
		x.set("Vary", "Accept-Encoding")
	}
	x.set("Connection", "keep-alive")
	x.set("Content-Type", content)
	x.set("Content-Length", strconv.Itoa(len(body)))
	x.log.Status, x.log.Bytes = status, len(body)
	x.w.WriteHeader(status)
	if x.r.Method == http.MethodHead {
		return
	}
	if x.fault.cut {
		_, _ = x.w.Write(body[:int(x.fault.share*float64(len(body)))])
		_ = http.NewResponseController(x.w).Flush()
		panic(http.ErrAbortHandler) // closes the connection
	}
	_, _ = x.w.Write(body) // a client that has gone needs no answer
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is a valid one
	_, _ = w.Write(body)                            // memory takes everything
	_ = w.Close()
	return b.Bytes()
}

// problem is an error as the API reports it.
type problem struct {
	status        int
	message, code string
}

func (p *problem) body() []byte {
	return fmt.Appendf(nil, `{"error":%s,"message":%s,"code":%s}`,
		jsonString(http.StatusText(p.status)), jsonString(p.message), jsonString(p.code))
}

func jsonString(s string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string is always encoded
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func (x *exchange) refuse(p problem) { x.send(p.status, contentJSON, p.body()) }

// refuseForNow answers 429. The seconds are whole and relative, never a point in time.
func (x *exchange) refuseForNow(limit, retry int) {
	how := x.config.RetryAfter
	switch how {
	case RetryBoth, RetryHeader:
		x.set("Retry-After", strconv.Itoa(retry))
	case RetryDate:
		x.set("Retry-After", x.arrived.Add(time.Duration(retry)*time.Second).UTC().Format(http.TimeFormat))
	}
	after := ""
	if how == RetryBoth || how == RetryBody {
		after = fmt.Sprintf(`,"retryAfter":%d`, retry)
	}
	x.send(http.StatusTooManyRequests, contentJSON, fmt.Appendf(nil, `{"error":"Too Many Requests",`+
		`"message":"Rate limit exceeded. Try again in %d seconds.","code":"RATE_LIMIT_EXCEEDED",`+
		`"rateLimit":{"limit":%d,"remaining":0,"reset":%d%s}}`, retry, limit, retry, after))
}

// sendBalancer answers as the load balancer does for a server that it cannot reach.
func (x *exchange) sendBalancer(status int) {
	title := fmt.Sprintf("%d %s", status, http.StatusText(status))
	x.set("Server", "awselb/2.0")
	x.write(status, "text/html", fmt.Appendf(nil, "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n"+
		"<center><h1>%s</h1></center>\r\n</body>\r\n</html>\r\n", title, title))
}
