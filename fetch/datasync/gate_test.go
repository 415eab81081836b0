package datasync

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"sluice/shard"
)

// The gate is shut in the middle of the second request, for an hour: that one is brought to its end, none follows, and the third
// begins in the moment in which the gate is opened. What is spent at the gate is neither reading nor waiting for quota.
func TestAShutGateEndsNoRequestAndBeginsNone(t *testing.T) {
	const latency, pause = 2 * time.Second, time.Hour
	api, gate := new(paged), new(shard.Pause)
	var begun []time.Duration
	start := time.Now()
	slow := func(w http.ResponseWriter, r *http.Request) {
		begun = append(begun, time.Since(start))
		time.Sleep(latency)
		api.ServeHTTP(w, r)
	}
	limits := unlimited
	limits.Pause = gate
	play(t, scene{answer: slow, caps: listOnly, pacer: limits}, func(w *world) {
		start = time.Now()
		time.AfterFunc(latency+latency/2, func() { gate.Toggle() })
		time.AfterFunc(latency+latency/2+pause, func() { gate.Toggle() })
		spent, took := w.clocked()
		if begun[1] != latency || begun[2] != latency+latency/2+pause {
			t.Errorf("requests began after %v", begun)
		}
		if want := pause - latency/2; spent[shard.Paused] != want || spent[shard.Pacing] != 0 {
			t.Errorf("held for %s, want %s; %v", spent[shard.Paused], want, spent)
		}
		if want := time.Duration(len(begun))*latency + pause - latency/2; took != want {
			t.Errorf("all took %s, want %s", took, want)
		}
	})
}

// At a shut gate not even access to the stream is asked for.
func TestAShutGateAsksForNoAccess(t *testing.T) {
	door, at := new(gate), new(shard.Pause)
	limits := unlimited
	limits.Pause = at
	play(t, scene{between: door.between, caps: both, pacer: limits}, func(w *world) {
		at.Toggle()
		var walking sync.WaitGroup
		walking.Go(func() { _, _ = w.walk(top, 1) })
		time.Sleep(24 * time.Hour)
		if n := door.asked.Load(); n != 0 || w.asked() != 0 {
			t.Errorf("%d requests for access and %d for pages", n, w.asked())
		}
		at.Toggle()
		walking.Wait()
		if w.asked() != 1 {
			t.Errorf("%d requests after the gate was opened", w.asked())
		}
	})
}

// A stop does not wait for the gate.
func TestAStopPassesAShutGate(t *testing.T) {
	limits := unlimited
	limits.Pause = new(shard.Pause)
	play(t, scene{caps: listOnly, pacer: limits}, func(w *world) {
		limits.Pause.Toggle()
		stopped := errors.New("stopped by a test")
		ctx, stop := context.WithCancelCause(w.t.Context())
		time.AfterFunc(time.Minute, func() { stop(stopped) })
		start := time.Now()
		if _, err := w.walkWith(ctx, top, 1); !errors.Is(err, stopped) || time.Since(start) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}
