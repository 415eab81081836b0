package main

import (
	"errors"
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

func TestOnlyACompleteReportIsKeptUnlessAsked(t *testing.T) {
	for args, want := range map[string]keeping{
		"": keepAll, "-sections whole": keepNothing, "-sections shards,size,parts": keepNothing, "-sections shards -keep": keepSections,
	} {
		o, err := parse(strings.Fields(args), &strings.Builder{})
		if err != nil || o.keeping(nil) != want {
			t.Errorf("%q: %d sections, keeping %v, %v", args, len(o.sections), o.keeping(nil), err)
		}
		if o.keeping(errors.New("a run has failed")) != keepNothing {
			t.Errorf("%q: what failed is kept", args)
		}
	}
}

func TestSectionsThatWaitAreMeasuredAtTheSameTime(t *testing.T) {
	for names, want := range map[string]string{
		"": "parts|whole|shards|latency quota|skew|duplicates|resume|watched|size", "quota,whole": "whole|quota", "latency,skew": "latency|skew",
	} {
		chosen, err := choose(names)
		if err != nil {
			t.Fatal(err)
		}
		var groups []string
		for _, beside := range besides(chosen) {
			var all []string
			for _, s := range beside {
				all = append(all, s.name)
			}
			groups = append(groups, strings.Join(all, " "))
		}
		if got := strings.Join(groups, "|"); got != want {
			t.Errorf("%q: %s, not %s", names, got, want)
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
