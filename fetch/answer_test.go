package fetch_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/fetch"
	"sluice/fetch/quota"
	"sluice/shard"
)

// drip writes a text byte by byte, one after each pause, until the other side has had enough.
func drip(w io.Writer, text string, pause time.Duration) {
	for i := range len(text) {
		time.Sleep(pause)
		if _, err := io.WriteString(w, text[i:i+1]); err != nil {
			return
		}
	}
}

// hold waits until the other side hangs up.
func hold(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// Every wait ends. Config says how long each may last; whatever an API does, a request is over after five
// minutes.
func TestSlowAnswersEnd(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	page := onePage()
	long := ok + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(page)+2000)
	for name, c := range map[string]struct {
		serve func(net.Conn)
		took  time.Duration
		fine  bool
	}{
		"no answer":           {hold, 30 * time.Second, false},
		"headers, 1 B/s":      {func(c net.Conn) { drip(c, ok+strings.Repeat("X-A: b\r\n", 100), time.Second) }, 30 * time.Second, false},
		"hints, 1 a second":   {func(c net.Conn) { drip2(c, "HTTP/1.1 103 Early Hints\r\n\r\n") }, 30 * time.Second, false},
		"headers, then still": {func(c net.Conn) { _, _ = io.WriteString(c, long); hold(c) }, 15 * time.Second, false},
		"stall in the body":   {func(c net.Conn) { _, _ = io.WriteString(c, long+page[:99]); hold(c) }, 15 * time.Second, false},
		"stall at the end":    {func(c net.Conn) { _, _ = io.WriteString(c, long+page); hold(c) }, 15 * time.Second, false},
		"body, 1 B/s":         {func(c net.Conn) { _, _ = io.WriteString(c, long); drip(c, page, time.Second) }, 5 * time.Minute, false},
		"chunks, 1 B in 14 s": {func(c net.Conn) {
			_, _ = io.WriteString(c, ok+"Transfer-Encoding: chunked\r\n\r\n")
			drip2(c, "1\r\n \r\n")
		}, 5 * time.Minute, false},
		"slow, but fine":       {func(c net.Conn) { drip(c, reply(200, "", page), 100*time.Millisecond) }, 0, true},
		"an error, 1 B/s":      {func(c net.Conn) { drip(c, "HTTP/1.1 500\r\n\r\n", 0); drip(c, long, time.Second) }, 2 * time.Second, false},
		"an error that stalls": {func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\n"); hold(c) }, 2 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{client: fetch.Config{Tries: 1}, listen: func(conn net.Conn) {
				if head(bufio.NewReader(conn)) != "" {
					c.serve(conn)
				}
			}}, func(w *world) {
				start := time.Now()
				_, err := w.ask()
				if c.fine {
					if err != nil {
						w.t.Error(err)
					}
					return
				}
				if wantTransient(w.t, err); time.Since(start) != c.took {
					w.t.Errorf("after %v: %v, want %v", time.Since(start), err, c.took)
				}
				if n := w.pipe.open.Load(); n != 0 {
					w.t.Errorf("%d connections are still open", n)
				}
			})
		})
	}
}

// drip2 repeats a text every 14 seconds.
func drip2(w io.Writer, text string) {
	for {
		if _, err := io.WriteString(w, text); err != nil {
			return
		}
		time.Sleep(14 * time.Second)
	}
}

// A handshake that hangs ends after five seconds, without a word of HTTP.
func TestHandshakeThatHangsEnds(t *testing.T) {
	play(t, scene{client: fetch.Config{Tries: 1}, listen: hold}, func(w *world) {
		w.api.base = "https://api.test"
		start := time.Now()
		_, err := w.ask()
		if wantTransient(w.t, err); time.Since(start) != 5*time.Second {
			w.t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// A stop takes effect at once, wherever a request is, and the error says why.
func TestStopInTheMiddleOfABody(t *testing.T) {
	stopped := errors.New("stopped by a test")
	play(t, scene{listen: func(c net.Conn) {
		if head(bufio.NewReader(c)) != "" {
			whole := reply(200, "", onePage())
			_, _ = io.WriteString(c, whole[:120])
			drip(c, whole[120:], time.Second)
		}
	}}, func(w *world) {
		for at := 500 * time.Millisecond; at < 4*time.Minute; at += 7 * time.Second {
			ctx, cancel := context.WithCancelCause(w.t.Context())
			time.AfterFunc(at, func() { cancel(stopped) })
			start := time.Now()
			if _, err := w.walkWith(ctx, top, 1); !errors.Is(err, stopped) || time.Since(start) != at {
				w.t.Errorf("stopped after %v: %v after %v", at, err, time.Since(start))
			}
		}
	})
}

// mischief is a server that draws what it does with each request.
func mischief(rng *rand.Rand, seen *atomic.Int64) func(net.Conn) {
	var mu sync.Mutex
	draw := func(n int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) }
	page := reply(200, "", onePage())
	return func(c net.Conn) {
		for r := bufio.NewReader(c); head(r) != ""; {
			seen.Add(1)
			time.Sleep(time.Duration(draw(4000)) * time.Millisecond)
			switch draw(10) {
			case 0:
				return
			case 1:
				_, _ = io.WriteString(c, page[:draw(len(page))])
				return
			case 2:
				hold(c)
				return
			case 4:
				_, _ = io.WriteString(c, reply(500+draw(5), "", ""))
			case 5:
				_, _ = io.WriteString(c, reply(503, "Retry-After: 1\r\n", ""))
			case 6:
				_, _ = io.WriteString(c, reply(200, "", "null"))
			default:
				_, _ = io.WriteString(c, page)
			}
		}
	}
}

// Whatever becomes of a request, the pacer learns of it exactly once: nothing stays in flight (the world looks for that when it
// ends), and its log has as many requests as came in at the server. Only those that were stopped while they were being written
// may be too many.
func TestPacerHearsOfEveryRequestOnce(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var seen, stopped atomic.Int64
			ample := quota.Config{Quotas: one(quota.Limit{N: 100_000, Window: 24 * time.Hour}), MaxWait: 48 * time.Hour}
			play(t, scene{pacer: ample, listen: mischief(rng, &seen)}, func(w *world) {
				var fetchers sync.WaitGroup
				for i := range 6 {
					fetchers.Go(func() {
						own := rand.New(rand.NewPCG(seed, uint64(2+i)))
						for range 15 {
							ctx, cancel := context.WithTimeoutCause(w.t.Context(), time.Duration(own.IntN(600_000))*time.Millisecond, shard.ErrStale)
							w.pipe.refuse.Store(own.IntN(10) == 0)
							if _, err := w.walkWith(ctx, top, 2); errors.Is(err, shard.ErrStale) {
								stopped.Add(1)
							}
							cancel()
						}
					})
				}
				fetchers.Wait()
				known := int64(w.pacer.Status()[0].Recent)
				if known < seen.Load() || known > seen.Load()+stopped.Load() || seen.Load() < 50 {
					w.t.Errorf("%d requests came in, %d were stopped, the pacer knows of %d", seen.Load(), stopped.Load(), known)
				}
			})
		})
	}
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

// Bodies that are framed wrongly in other ways than by a cut.
func TestWronglyFramedBodiesAreRefused(t *testing.T) {
	page := onePage()
	zip := gzipped(page)
	badSum := zip[:len(zip)-8] + "\x00\x00\x00\x00" + zip[len(zip)-4:]
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for name, answer := range map[string]string{
		"length too long":           ok + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(page)+1, page),
		"two lengths":               ok + fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d\r\n\r\n%s", len(page), len(page)-1, page),
		"negative length":           ok + "Content-Length: -1\r\n\r\n" + page,
		"a length of letters":       ok + "Content-Length: many\r\n\r\n" + page,
		"bad chunk size":            ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + page,
		"huge chunk size":           ok + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + page,
		"unknown transfer encoding": ok + "Transfer-Encoding: gzip\r\n\r\n" + page,
		"garbage behind the gzip":   reply(200, "Content-Encoding: gzip\r\n", zip+"garbage"),
		"bad checksum":              reply(200, "Content-Encoding: gzip\r\n", badSum),
		"no gzip at all":            reply(200, "Content-Encoding: gzip\r\n", page),
		"gzip twice":                reply(200, "Content-Encoding: gzip\r\n", gzipped(zip)),
		"gzip said twice":           reply(200, "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", gzipped(zip)),
		"br, unasked":               reply(200, "Content-Encoding: br\r\n", page),
		"zstd, unasked":             reply(200, "Content-Encoding: zstd\r\n", page),
		"deflate, unasked":          reply(200, "Content-Encoding: deflate\r\n", page),
		"partial content":           strings.Replace(reply(200, "", page), "200", "206", 1),
		"no content":                "HTTP/1.1 204 No Content\r\n\r\n",
		"a header folded by CR":     "HTTP/1.1 200 OK\r\nX: a\rContent-Length: 5\r\n\r\n" + page,
		"a header without a colon":  "HTTP/1.1 200 OK\r\nX \x1b[2J\r\n\r\n" + page,
		"status 99":                 "HTTP/1.1 99 X\r\n\r\n" + page,
		"no HTTP":                   page,
		"nothing":                   "",
	} {
		t.Run(name, func(t *testing.T) {
			play(t, scene{listen: func(c net.Conn) {
				if head(bufio.NewReader(c)) != "" {
					_, _ = c.Write([]byte(answer))
				}
			}}, func(w *world) {
				_, err := w.ask()
				wantTransient(w.t, err)
				if strings.ContainsAny(err.Error(), "\x1b\r\n") {
					w.t.Errorf("%q holds what moves a terminal", err)
				}
			})
		})
	}
}

// A body that is longer than its length says: the page is refused, and what was left over is not the answer to the next
// request.
func TestWhatIsLeftOverOfABodyAnswersNothing(t *testing.T) {
	page := onePage()
	var asked atomic.Int64
	play(t, scene{client: fetch.Config{Tries: 1}, listen: func(c net.Conn) {
		r := bufio.NewReader(c)
		for head(r) != "" {
			text := reply(200, "", page)
			if asked.Add(1) == 1 { // the second half is a whole answer by itself
				text = reply(200, "", page[:100]) + reply(200, "", emptyPage)
			}
			_, _ = c.Write([]byte(text))
		}
	}}, func(w *world) {
		_, err := w.ask()
		wantTransient(w.t, err)
		time.Sleep(time.Second)
		if page, err := w.ask(); err != nil || page.Received != 9 {
			w.t.Errorf("the next answer has %d events, %v", page.Received, err)
		}
		if n := w.pipe.dialed.Load(); n != 2 {
			w.t.Errorf("%d connections: the one with left-overs was used again", n)
		}
	})
}

// TestABodyThatSaysItIsTooLargeIsNotRead: it used to be read up to the bound, for each of several fetchers at a time.
func TestABodyThatSaysItIsTooLargeIsNotRead(t *testing.T) {
	var sent atomic.Int64
	endless := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("Content-Length", strconv.Itoa(1<<40))
		for chunk := make([]byte, 64<<10); ; sent.Add(int64(len(chunk))) {
			if _, err := rw.Write(chunk); err != nil {
				return
			}
		}
	}
	play(t, scene{answer: endless}, func(w *world) {
		_, err := w.ask()
		wantStuck(t, err)
		if n := sent.Load(); n > 8<<20 {
			t.Errorf("%d MiB were taken", n>>20)
		}
	})
}

// A refusal whose body did not come to its end was heard of only when the body was given up, 15 s later. Until then the other
// fetchers went on asking, against the Retry-After in its headers. The simulation found it.
func TestRefusalWithoutItsBodyStopsAll(t *testing.T) {
	var asked []time.Time
	var mu sync.Mutex
	refuse := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, time.Now())
		mu.Unlock()
		w.Header().Set("Retry-After", "30")
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusTooManyRequests)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	play(t, scene{answer: refuse}, func(w *world) {
		var fetchers sync.WaitGroup
		for range 3 {
			fetchers.Go(func() {
				ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
				defer cancel()
				_, _ = w.walkWith(ctx, shard.Position{End: shard.Future}, 1)
			})
			time.Sleep(time.Second) // not all at once, or they would be on their way already
		}
		fetchers.Wait()
		mu.Lock()
		defer mu.Unlock()
		if len(asked) != 1 {
			w.t.Errorf("the API was asked %d times, at %v", len(asked), asked)
		}
	})
}
