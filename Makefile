# SPDX-License-Identifier: Apache-2.0
#
# `make` alone lists the targets. They need Go, a C compiler (for the race
# detector), bash and git; what else they use comes with the modules.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.NOTPARALLEL:

GO ?= go

# The modules of the checkout: the main one, and those that keep their
# dependencies out of it. All but the peers of the comparisons have tests of their own.
MODULES := . $(sort $(patsubst ./%/go.mod,%,$(shell find . -mindepth 2 -name go.mod -not -path '*/testdata/*')))
TESTED := $(filter-out bench/peers/%,$(MODULES))

# The packages whose stores are crash sites, and the build tag that compiles the
# step hooks and the invariants into them.
STEPS_TAG := skybus_steps
STEPS_PACKAGES := ./ring ./shm ./channel ./route ./names/host ./gate/vault ./relay .

# Runs several go test commands and adds up what they did.
TESTSUM = $(GO) -C tools run ./testsum -C .. $(if $(filter 1,$(V)),-v)

# The linter, in the version that tools/go.mod pins. The first run builds it.
LINT := $(GO) tool -modfile=$(CURDIR)/tools/go.mod golangci-lint

# The parts of check, the quick ones first.
CHECKS := check-fmt check-tidy check-layers check-generated check-vet check-cross check-lint race

FUZZTIME ?= 30s
SKYBUS_KILLS ?= 10000
SKYBUS_HOSTS_TIME ?= 1h

# What go generate does not write, and what is not compared after it.
SNAPSHOT := find . -type f -not -path './.git/*' -not -path './bin/*' -not -path './bench/out/*' \
	-exec sha256sum {} + | LC_ALL=C sort -k 2

.PHONY: help
help:
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^##@ / { print "\n" substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

##@ Build and try
.PHONY: build demo
build: ## the commands and the chat, in bin/
	@echo "== building the commands and the chat in bin/ (the first time its database takes a minute)"
	@$(GO) build -o bin/ ./cmd/...
	@$(GO) -C examples/chat build -o $(CURDIR)/bin/chat .
	@ln -sfn skybus bin/tbusmgr
	@ln -sfn skybus bin/trelaymgr
	@ls bin

demo: build ## build, then show the bus and a chat at work (KEEP=1: the chat goes on until Ctrl-C)
	@echo "== running bin/skybus demo: the bus, hosts and services"
	@bin/skybus demo --duration 5s
	@echo "== running bin/chat demo: clients"
	@bin/chat demo $(if $(filter-out 0,$(KEEP)),-keep)

##@ Test
.PHONY: test race fuzz soak bench
test: ## all tests, again with crash steps, and each benchmark once (V=1: all output; TESTFLAGS=...)
	@$(TESTSUM) \
		'tests|.|-vet=off -timeout 30m $(TESTFLAGS) ./...' \
		'tests with crash steps|.|-vet=off -timeout 30m -tags $(STEPS_TAG) $(TESTFLAGS) $(STEPS_PACKAGES)' \
		'misuse of services, with invariants|.|-vet=off -tags $(STEPS_TAG) -run Misuse $(TESTFLAGS) ./actor' \
		'benchmarks, once each|.|-vet=off -run ^$$ -bench . -benchtime 1x ./...' \
		$(foreach m,$(filter-out .,$(TESTED)),'tests of $(m)|$(m)|-vet=off $(TESTFLAGS) ./...')

# The chat's database takes minutes to build with the race detector.
race: ## all tests under the race detector
	@$(TESTSUM) $(foreach m,$(filter-out examples/chat,$(TESTED)),'race detector in $(m)|$(m)|-vet=off -race -timeout 30m $(TESTFLAGS) ./...')

fuzz: ## each fuzz target for FUZZTIME=30s (FUZZ=regexp picks some)
	@failed=0; \
	for module in $(TESTED); do \
		targets=$$($(GO) -C $$module test -vet=off -list '^Fuzz' ./... | awk \
			'/^Fuzz/ { t[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, t[i]; n = 0 }'); \
		while read -r package target; do \
			[[ "$$target" && "$$package.$$target" =~ $(or $(FUZZ),.) ]] || continue; \
			echo "== fuzzing $$package $$target for $(FUZZTIME)"; \
			$(GO) -C $$module test -vet=off -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null \
				|| { echo "FAILED: $$package $$target"; failed=1; }; \
		done <<<"$$targets"; \
	done; \
	exit $$failed

soak: ## kill processes SKYBUS_KILLS=10000 times, and plague three hosts for SKYBUS_HOSTS_TIME=1h; takes hours
	@echo "== soak test, $(SKYBUS_KILLS) kills, then three hosts for $(SKYBUS_HOSTS_TIME)"
	@SKYBUS_SOAK=1 SKYBUS_KILLS=$(SKYBUS_KILLS) $(TESTSUM) -v \
		'soak|.|-vet=off -count=1 -p 1 -tags $(STEPS_TAG) -run Soak|Kill -timeout 4h ./...'
	@SKYBUS_HOSTS_TIME=$(SKYBUS_HOSTS_TIME) $(TESTSUM) -v 'three hosts|.|-vet=off -count=1 -run TestHosts -timeout 12h ./relay/hosts'

bench: ## measure (ONLY=area, ROUNDS=n, DURATION=2s)
	@echo "== measuring $(or $(ONLY),everything)"
	@cd bench && $(GO) run . $(if $(ONLY),-only $(ONLY)) $(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(DURATION),-duration $(DURATION))

##@ Check (what a change must pass, beside make test)
.PHONY: check list-checks $(filter check-%,$(CHECKS))
check: $(CHECKS) ## all of the following, and race
	@echo "== all checks passed: $(CHECKS)"

list-checks:
	@echo $(CHECKS)

check-fmt: ## gofmt
	@echo "== gofmt"
	@files=$$(gofmt -s -l .); \
	if [ -n "$$files" ]; then echo "not formatted (make fmt mends it):"; echo "$$files"; exit 1; fi

check-tidy: ## go.mod and go.sum of each module
	@for module in $(MODULES); do \
		echo "== go mod tidy in $$module"; \
		$(GO) -C $$module mod tidy -diff || { echo "run: $(GO) -C $$module mod tidy"; exit 1; }; \
	done

check-layers: ## floors of the packages, unsafe, system calls, dependencies, SPDX lines
	@echo "== layers and SPDX lines"
	@$(GO) test -count=1 ./internal/layers

check-generated: ## generated files are those that make generate writes
	@before=$$($(SNAPSHOT)); \
	$(MAKE) generate; \
	if ! changes=$$(diff <(echo "$$before") <($(SNAPSHOT))); then \
		echo "generated files were out of date; these are rewritten now:"; \
		awk '/^[<>]/ { print "  " $$3 }' <<<"$$changes" | sort -u; \
		exit 1; \
	fi

check-vet: ## go vet of the code that the tag skybus_steps adds
	@echo "== go vet with the tag $(STEPS_TAG)"
	@$(GO) vet -tags $(STEPS_TAG) ./...

check-cross: ## arm64, and that the libraries build on macOS and Windows
	@echo "== linux/arm64: build and vet"
	@GOOS=linux GOARCH=arm64 $(GO) build ./...
	@GOOS=linux GOARCH=arm64 $(GO) vet ./...
	@echo "== darwin/arm64: build"
	@GOOS=darwin GOARCH=arm64 $(GO) build ./...
	@echo "== windows/amd64: build"
	@GOOS=windows GOARCH=amd64 $(GO) build ./...

check-lint: ## golangci-lint (the first run builds it, which takes minutes)
	@for module in $(MODULES); do \
		echo "== golangci-lint in $$module"; \
		( cd $$module && $(LINT) run --config $(CURDIR)/.golangci.yml ./... ); \
	done

##@ Tend
.PHONY: fmt generate clean
fmt: ## format the sources
	@echo "== gofmt -s -w"
	@gofmt -s -w .

generate: ## write the generated files anew
	@for module in $(MODULES); do \
		echo "== go generate in $$module"; \
		$(GO) -C $$module generate ./...; \
	done

clean: ## remove what was built and measured, and what killed tests left in /dev/shm
	@echo "== removing bin, bench/out, test binaries, profiles, /dev/shm/skybus-test-*"
	@rm -rf bin bench/out /dev/shm/skybus-test-*
	@find . -name .git -prune -o -type f \( -name '*.test' -o -name '*.prof' -o -name "*.coverprofile" -o -name coverage.out -o -name coverage.html -o -name cover.out \) -exec rm {} +
