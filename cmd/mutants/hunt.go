package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// hunt applies mutants one after another and runs their checks, in as many copies of the tree as there are jobs.
type hunt struct {
	options
	root string
	say  func(format string, args ...any)
}

// result is what became of a mutant.
type result struct {
	mutant
	KilledBy string // the first test that failed; empty: none did
	Broken   string // why its checks say nothing
	Took     time.Duration
}

// asSaid tells whether the mutant fared as its file says: killed, or equivalent and alive.
func (r *result) asSaid() bool { return r.Broken == "" && (r.KilledBy == "") == (r.Survives != "") }

func (r *result) verdict() string {
	switch {
	case r.Broken != "":
		return "INVALID: " + r.Broken
	case r.KilledBy == "" && r.Survives == "":
		return "SURVIVED"
	case r.KilledBy == "":
		return "survives, as proven"
	case r.Survives != "":
		return "KILLED by " + r.KilledBy + ", though said to survive"
	}
	return r.KilledBy
}

// all runs the checks without a mutant, and then every mutant.
func (h *hunt) all(ctx context.Context, mutants []mutant) ([]result, error) {
	results := make([]result, len(mutants))
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	baseline := baselineOf(mutants)
	for range min(h.jobs, len(mutants)) {
		group.Go(func() (err error) {
			dir, err := copyTree(ctx, h.root)
			if err != nil {
				return err
			}
			defer func() { err = cmp.Or(err, os.RemoveAll(dir)) }()
			for {
				n := int(next.Add(1)) - 1
				switch {
				case n < len(baseline):
					err = h.sound(ctx, dir, baseline[n])
				case n-len(baseline) < len(mutants):
					results[n-len(baseline)], err = h.one(ctx, dir, mutants[n-len(baseline)])
				default:
					return nil
				}
				if err != nil {
					return err
				}
			}
		})
	}
	return results, group.Wait()
}

// baselineOf joins all checks of a package into one: without a mutant they must pass.
func baselineOf(mutants []mutant) []check {
	tests := make(map[string][]string)
	for _, m := range mutants {
		for _, c := range m.Checks {
			tests[c.Package] = append(tests[c.Package], c.tests()...)
		}
	}
	var all []check
	for room, names := range tests {
		slices.Sort(names)
		all = append(all, check{Package: room, Run: "^(" + strings.Join(slices.Compact(names), "|") + ")$"})
	}
	slices.SortFunc(all, func(a, b check) int { return cmp.Compare(a.Package, b.Package) })
	return all
}

func (h *hunt) sound(ctx context.Context, dir string, c check) error {
	f, err := goTest(ctx, dir, c, 5*h.limit)
	switch {
	case err != nil:
		return err
	case f.Failed != "" || f.Broken != "":
		return fmt.Errorf("%s fails without a mutant: %s\n%s", c, cmp.Or(f.Failed, f.Broken), f.tail(20))
	}
	h.say("%-12s %d checks pass without a mutant", c.Package, len(c.tests()))
	return nil
}

// one applies a mutant, runs its checks until one of them kills it, and takes it back.
func (h *hunt) one(ctx context.Context, dir string, m mutant) (r result, err error) {
	started := time.Now()
	r = result{mutant: m}
	if err := patch(ctx, dir, &m); err != nil {
		r.Broken = err.Error()
		return r, nil
	}
	for _, c := range m.Checks {
		f, err := goTest(ctx, dir, c, h.limit)
		if err != nil {
			return r, errors.Join(err, patch(context.WithoutCancel(ctx), dir, &m, "--reverse"))
		}
		if f.Broken != "" {
			h.say("%s", f.tail(10))
		}
		r.KilledBy, r.Broken = f.Failed, f.Broken
		if r.KilledBy != "" {
			break
		}
	}
	r.Took = time.Since(started)
	h.say("%-44s %5.1f s  %s", m.Name, r.Took.Seconds(), r.verdict())
	return r, patch(ctx, dir, &m, "--reverse")
}
