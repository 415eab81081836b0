# `make` alone prints what there is.
SHELL   := /bin/sh
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)
FUZZTIME ?= 20s
SOAK     ?= 30m
FOLLOW   ?= 15m
CRASH_RUNS ?= 10
# The race detector needs a C compiler; without one the tests run all the same.
RACE    := $(if $(shell command -v $$(go env CC 2>/dev/null) 2>/dev/null),-race)

.DEFAULT_GOAL := help
.PHONY: help build run demo simulate db-stop test swarm simulate-long histories fmt vet lint layers race vuln fuzz fuzz-short mutants mutation crash soak follow-soak bench bench-once bench-go check clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/sluice
	go build -ldflags '$(LDFLAGS)' -o bin/sluice ./cmd/sluice

run: ## ingest: make run ARGS=--shards=8
	./run-ingestion.sh $(ARGS)

demo: ## 3,000,000 events of the simulator into a private PostgreSQL, without Docker
	env -u API_BASE_URL -u DATABASE_URL ./run-ingestion.sh --no-docker --shards=8

simulate: build ## the simulated API on 127.0.0.1:8080
	bin/sluice simulate --listen 127.0.0.1:8080 --profile demo

db-stop: build ## stop the private PostgreSQL; its data stay
	bin/sluice db stop

test: fmt vet race swarm fuzz-short ## what a change must pass: gofmt, vet, all tests with the race detector, 2,000 simulations, each fuzzer for 2 s

swarm: ## the simulations, without the race detector (a part of them is in race): of it all, 2,000 seeds and each single fault, and of the quotas
	go test ./coordinator/job ./fetch/quota -run 'TestSimulation(SingleFault|Repeats)?$$|TestPacer|TestTwoRuns'

SEEDS ?= 200000
FROM  ?= 1
simulate-long: ## as many seeds as wanted: make simulate-long SEEDS=200000 FROM=1
	FROM=$(FROM) SEEDS=$(SEEDS) go test ./coordinator/job -run 'TestSimulation$$' -v -timeout 0

N ?= 5000
histories: ## random histories of commands and accidents on a real PostgreSQL: make histories N=5000 FROM=1 (a second each)
	go test ./cmd/sluice/e2e -run 'TestHistories$$' -history-count=$(N) -history-from=$(FROM) -timeout 0 -v | grep -Ev '^ *(=== |--- PASS)'

check: test lint vuln fuzz bench-once ## all of it: test, staticcheck, known vulnerabilities, each fuzzer for 20 s, each benchmark once

fmt:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; }

vet:
	go vet ./...

# Tests wait a lot, for processes and for each other's servers: more of them at a time than there are processors.
PARALLEL ?= 4

# Everything the tests print goes through a file, and no key, token or password may be in it. What failed stands once more at the end, with
# the last of what it said.
FAILED = awk '/^=== /{t = $$3; next} /^ *--- FAIL: /{print; print said[$$3]; next} /^(FAIL|panic:|make)/{print} {said[t] = substr(said[t] "\n" $$0, length(said[t]) - 800)}'
race:
	@mkdir -p bin
	@{ go test $(RACE) -timeout 25m -parallel $(PARALLEL) -v ./... 2>&1; echo $$? > bin/test.code; } | tee bin/test.log | grep -Ev '^ *(=== |--- PASS|PASS$$)'; \
		test "$$(cat bin/test.code)" = 0 || { echo; echo 'What failed:'; $(FAILED) bin/test.log; exit 1; }
	@! grep -n CANARY bin/test.log || { echo 'a secret of the tests is in what they print (bin/test.log)'; exit 1; }

lint: ## staticcheck
	go tool staticcheck ./...

vuln: ## known vulnerabilities of what we use; says so where their list cannot be reached
	GOBIN=$(CURDIR)/bin go install golang.org/x/vuln/cmd/govulncheck@v1.9.0
	bin/govulncheck $(VULNFLAGS) ./...; code=$$?; test $$code = 0 || { test $$code != 3 && echo 'NOT CHECKED for known vulnerabilities: see above'; }

layers: ## who may import whom
	go test -run 'Rooms|Goroutines|Channel' ./cmd/sluice/e2e

fuzz-short:
	@$(MAKE) --no-print-directory fuzz FUZZTIME=2s

fuzz: ## each fuzzer for 20 s (FUZZTIME=5m); what it finds is kept in testdata/fuzz
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z]*' . | sed 's|/[^/]*:func | |' | sort | while read -r dir fuzzer; do \
		echo "$$dir $$fuzzer"; \
		go test -run '^$$' -fuzz "^$$fuzzer\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$dir" || exit 1; \
	done

crash: ## kill -9 at every step, break the database at each, ten times over (CRASH_RUNS=50): one table
	go test -c -o bin/crash.test ./cmd/sluice/e2e
	cd cmd/sluice/e2e && CRASH_RUNS=$(CRASH_RUNS) ../../../bin/crash.test -test.run '^TestCrash' -test.timeout 24h -test.parallel 3

soak: ## one ingestion for 30 minutes, with a fault every 30 s (SOAK=8h)
	go test -run '^TestSoak$$' -count 1 -v -timeout 24h ./cmd/sluice/e2e -soak $(SOAK)

follow-soak: ## a follow for 15 minutes; API, database and the process itself go and come back (FOLLOW=1h)
	go test -run '^TestFollowSoak$$' -count 1 -v -timeout 24h ./cmd/sluice/e2e -follow $(FOLLOW)

mutants: ## break Sluice on purpose, one or two ways for each promise: does a test notice? (ARGS='-run trim')
	go run ./cmd/mutants $(ARGS)

# Hours for all three. A condition of a case counts as not covered, because Go's coverage has no block for it. Not vetting and not
# linking debug information halves the time of a mutant.
MUTATE ?= ./shard ./sink/audit ./fetch/quota
mutation: ## change every condition and sum of shard, sink/audit and fetch/quota: which changes survive? (MUTATE=./sink/audit)
	GOBIN=$(CURDIR)/bin go install github.com/go-gremlins/gremlins/cmd/gremlins@v0.6.0
	@for package in $(MUTATE); do \
		echo "$$package: survivors (LIVED), and those that timed out"; \
		GOFLAGS='-vet=off -ldflags=-w' bin/gremlins unleash $$package --workers 2 --test-cpu 1 --timeout-coefficient 30 -S lt || exit 1; \
	done

bench: ## beside the machine, the quotas and the wait, as lines for benchstat (15 min on a calm machine; BENCH=-help)
	@go run ./cmd/bench $(BENCH)

bench-once: bench-go ## each benchmark once, and each section with a handful of events: does it still work?
	go run ./cmd/bench -smoke -events 50000 -shards 1,8

bench-go:
	go test -run '^$$' -bench . -benchtime 1x ./...

clean: ## remove what was built; data stay
	rm -rf bin .sluice/bin
