package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// allocations runs the program once more and reads from its metrics what it has allocated. Its speed is not measured, because
// metrics cost something too.
func (r *rig) allocations(ctx context.Context) ([]Figure, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	t := r.usual(r.data, usualShards)
	t.flags = append([]string{"--listen=" + address, "--linger=10m"}, t.flags...)
	w, err := r.newWorld(ctx, t)
	if err != nil {
		return nil, err
	}
	defer w.close(ctx)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := w.command(ctx)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	text, err := lastMetrics(ctx, "http://"+address+"/metrics")
	cancel() // which kills it
	_ = cmd.Wait()
	if err != nil {
		return nil, fmt.Errorf("count allocations: %w", err)
	}
	mallocs, _ := gauge(text, "go_memstats_mallocs_total")
	size, _ := gauge(text, "go_memstats_alloc_bytes_total")
	rows := float64(r.data.truth.Rows)
	return []Figure{
		figure(fmt.Sprintf("allocations, shards=%d", usualShards), "/row", mallocs/rows).atMost(allocationGoal),
		figure(fmt.Sprintf("allocated, shards=%d", usualShards), "B/row", size/rows),
	}, nil
}

// lastMetrics returns the metrics of a run that is complete.
func lastMetrics(ctx context.Context, url string) ([]byte, error) {
	for {
		select {
		case <-time.After(time.Second): // each look costs the run some allocations
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		resp, err := http.Get(url)
		if err != nil {
			continue // it does not listen yet
		}
		text, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return nil, err
		}
		switch code, ok := gauge(text, "sluice_exit_code"); {
		case ok && code == 0:
			return text, nil
		case ok && code > 0:
			return nil, fmt.Errorf("the run has ended with exit code %g", code)
		}
	}
}

// freeAddress is one that no process listens at, for now.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// gauge reads a value of a text in Prometheus' format.
func gauge(text []byte, name string) (float64, bool) {
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && key == name {
			v, err := strconv.ParseFloat(value, 64)
			return v, err == nil
		}
	}
	return 0, false
}
