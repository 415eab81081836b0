package terminal

import (
	"slices"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/view"
)

// running is a run of so many shards, every fourth of them active.
func running(shards int) view.View {
	v := shown(45_000)
	v.Shards = nil
	for n := range shards {
		one := view.Shard{Number: n + 1, Start: "2026-01-05T10:12:30Z", State: "pending", Events: 5625}
		if n%4 == 1 {
			one.State, one.Doing, one.Read = "running", "waiting for quota", 0.45
		}
		v.Shards = append(v.Shards, one)
	}
	return v
}

func frameOf(v view.View, width, height int) []string { return style{}.frame(&v, width, height) }

// TestFrameFitsTheWindow of any size, with a line to spare: a frame that scrolls leaves traces at every drawing.
func TestFrameFitsTheWindow(t *testing.T) {
	for _, shards := range []int{0, 1, 8, 64} {
		for width := 1; width < 210; width += 7 {
			for height := 1; height < 60; height += 3 {
				v := running(shards)
				frame := style{colour: true}.frame(&v, width, height)
				if len(frame) == 0 || len(frame) > max(1, height-1) {
					t.Fatalf("%d lines in a window of %d x %d, of %d shards", len(frame), width, height, shards)
				}
				for _, line := range frame {
					if w := widthOf(line); w > width {
						t.Fatalf("a line of %d in a window of %d x %d: %q", w, width, height, line)
					}
				}
			}
		}
	}
}

func TestFrameShowsAllShardsWhereThereIsRoom(t *testing.T) {
	want := []string{
		"1 ───────────────────────────────────────────────   0.0%   5,625  pending",
		"2 ━━━━━━━━━━━━━━━━━━━━━──────────────────────────  45.0%   5,625  waiting for quota",
		"3 ───────────────────────────────────────────────   0.0%   5,625  pending",
		"total ━━━━━━━━━━━━━━━━━━━╸──────────────────────── 45,000 of 100,000 events (45.0%)",
		"0 events/s, 0/3 shards, limited by the API's quotas, list 10 of 10 in 6s (97% used)",
		"3 dead letters, 4 repeated, 1 refused",
	}
	got := frameOf(running(3), 84, 24)
	for i := range got {
		got[i] = strings.TrimRight(got[i], " ")
	}
	if !slices.Equal(got, want) {
		t.Errorf("the frame is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestFrameShowsThoseThatMove if there is no room for all shards, and sums up the rest.
func TestFrameShowsThoseThatMove(t *testing.T) {
	v := running(64)
	v.Shards[40].State = "failed"
	frame := frameOf(v, 80, 24)
	shards := frame[:len(frame)-3]
	for _, line := range shards[:len(shards)-1] {
		if !strings.Contains(line, "waiting for quota") {
			t.Errorf("shown: %q", line)
		}
	}
	if got, want := shards[len(shards)-1], "and 1 more at work, 1 failed, 47 not begun"; got != want {
		t.Errorf("the rest is %q, want %q", got, want)
	}
	if tall := strings.Join(frameOf(v, 80, 40), "\n"); !strings.Contains(tall, "41 ") || !strings.Contains(tall, "  failed") {
		t.Errorf("with room to spare, the failed shard is not shown:\n%s", tall)
	}
}

// TestAPieceSaysWhatItIsAPartOf if the window is wide enough, in a column that is empty for other shards.
func TestAPieceSaysWhatItIsAPartOf(t *testing.T) {
	v := running(3)
	v.Shards[2].Parent = 1
	frame := frameOf(v, 120, 24)
	if !strings.HasSuffix(frame[2], "2026-01-05 10:12  part of 1") || widthOf(frame[1]) != widthOf(frame[2]) {
		t.Errorf("the frame is\n%s", strings.Join(frame, "\n"))
	}
}
