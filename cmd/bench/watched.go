package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const unwatched = "unwatched"

// measureWatched compares a run whose live page somebody looks at with runs around it that do not even listen.
func measureWatched(ctx context.Context, s *stand) ([]Figure, error) {
	var c contest
	var err error
	if c.before, err = s.ingest(ctx, s.data, s.shards, nil); err != nil {
		return nil, err
	}
	if c.load, err = s.watchedLoad(ctx); err != nil {
		return nil, err
	}
	if c.after, err = s.ingest(ctx, s.data, s.shards, nil); err != nil {
		return nil, err
	}
	s.say("unwatched %.1f, watched %.1f, unwatched %.1f s", c.before.ingest.Seconds(), c.load.ingest.Seconds(), c.after.ingest.Seconds())
	return watchedFigures(s.shards, c), nil
}

// watchedLoad is a run that listens, and a viewer who reads its page's stream from its first to its last view.
func (s *stand) watchedLoad(ctx context.Context) (l load, err error) {
	w, err := s.newWorld(ctx, s.data)
	if err != nil {
		return l, err
	}
	defer w.close(ctx)
	address, err := freeAddress()
	if err != nil {
		return l, err
	}
	both, during := errgroup.WithContext(ctx)
	looking, stop := context.WithCancel(during)
	var views int
	both.Go(func() error {
		views = look(looking, "http://"+address+"/live")
		return nil
	})
	both.Go(func() (err error) {
		defer stop()
		l, err = w.ingest(ctx, s.shards, append([]string{"--listen=" + address}, unlimited...)...)
		return err
	})
	if err := both.Wait(); err != nil {
		return l, err
	}
	if views == 0 {
		return l, errors.New("the viewer has seen nothing")
	}
	return l, w.check(ctx)
}

// freeAddress is one that nobody listens at, for now.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// look counts the views that come in until ctx ends. At first nobody may listen yet, and at the end nobody listens any more.
func look(ctx context.Context, url string) (views int) {
	for ctx.Err() == nil {
		views += stream(ctx, url)
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	return views
}

// stream reads server-sent events until the line ends.
func stream(ctx context.Context, url string) (views int) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<22) // a view is one line
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			views++
		}
	}
	return views
}

func watchedFigures(shards int, c contest) []Figure {
	named := func(what string) string { return fmt.Sprintf("%s, shards=%d", what, shards) }
	cpu := func(l load) float64 { return l.micros(l.client) }
	return []Figure{
		Sample{c.load.ingest.Seconds()}.figure(named("listening, with a viewer"), unitTime).beside(unwatched, Sample{c.ratio()}),
		Sample{cpu(c.load)}.figure(named("listening, with a viewer: sluice"), microsARow).
			beside(unwatched, Sample{2 * cpu(c.load) / (cpu(c.before) + cpu(c.after))}),
	}
}
