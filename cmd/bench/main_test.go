package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseTakesNoNonsense(t *testing.T) {
	for _, args := range []string{"-events 0", "-repeat 0", "-shards 0", "-sections whole,x", "-sizes 0", "-sizes 1,x", "more"} {
		if o, err := parse(strings.Fields(args), &strings.Builder{}); err == nil {
			t.Errorf("%s: %+v", args, o)
		}
	}
}

func TestOnlyACompleteReportIsKept(t *testing.T) {
	for args, want := range map[string]bool{"": true, "-sections whole": false, "-sections shards,size,parts": false} {
		o, err := parse(strings.Fields(args), &strings.Builder{})
		if err != nil || o.complete() != want {
			t.Errorf("%q: %d sections, complete: %v, %v", args, len(o.sections), o.complete(), err)
		}
	}
}

func TestChosenSectionsKeepTheirOrder(t *testing.T) {
	chosen, err := choose("size,whole")
	if err != nil || len(chosen) != 2 || chosen[0].name != "whole" || chosen[1].name != "size" {
		t.Errorf("%+v, %v", chosen, err)
	}
}

func TestSizesFollowTheEvents(t *testing.T) {
	for args, want := range map[string][]int64{"-events 5000": {500, 5000}, "-events 1": {1, 1}, "-sizes 3,40": {3, 40}} {
		if o, err := parse(strings.Fields(args), &strings.Builder{}); err != nil || !slices.Equal(o.sizes, want) {
			t.Errorf("%s: %v, %v", args, o.sizes, err)
		}
	}
}

func TestHelpTellsWhatEachSectionCosts(t *testing.T) {
	var said strings.Builder
	if _, err := parse([]string{"-help"}, &said); err == nil {
		t.Fatal("no error")
	}
	for _, s := range allSections() {
		if !strings.Contains(said.String(), s.name) || !strings.Contains(said.String(), s.cost) {
			t.Errorf("-help does not tell that %s takes %s", s.name, s.cost)
		}
	}
}
