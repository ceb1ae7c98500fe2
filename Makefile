# `make` prints this help.
SHELL := /bin/bash
.DEFAULT_GOAL := help

help: ## Print this help.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install what the build and the tests need from Debian (quiet, skipped when present).
	@missing=; for p in libsqlite3-dev libssl-dev libnghttp2-dev zlib1g-dev libzstd-dev curl python3; do \
	  dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing > /dev/null; fi

build: setup ## Build the release binary, .build/release/martlet.
	swift build -c release --product martlet

test: setup ## Run all tests: Swift's, the Python worker's, then end to end against the real binary.
	swift build --build-tests
	swift test --skip-build
	python3 -m unittest discover -v -s Python/tests
	python3 -m unittest discover -v -s Tests/EndToEnd

demo: build ## Start the service, run the programs of parallel Python as jobs, stop.
	python3 Examples/demo.py

SECONDS ?= 60

fuzz: setup ## Fuzz the HTTP/1.1 parser, the JSON scanner and the HTTP/2 session, SECONDS=60 each.
	swift build --package-path Fuzzing --scratch-path .build-fuzz -c release -Xswiftc -enable-testing \
	  -Xswiftc -sanitize=fuzzer -Xswiftc -sanitize=address -Xswiftc -use-ld=lld
	for target in HTTP1:http1 RawJSON:json HTTP2:http2; do \
	  mkdir -p .build-fuzz/corpus/$${target#*:}; \
	  .build-fuzz/release/Fuzz$${target%:*} -max_total_time=$(SECONDS) -max_len=4096 -timeout=5 -rss_limit_mb=2048 \
	    -detect_leaks=0 -print_final_stats=1 -artifact_prefix=.build-fuzz/ .build-fuzz/corpus/$${target#*:} \
	    Fuzzing/corpus/$${target#*:} || exit 1; \
	done

lint: ## Check the formatting.
	swift format lint --strict --recursive --parallel Package.swift Sources Tests Fuzzing/Package.swift \
	  Fuzzing/Sources/Fuzz*

check: lint ## Lint, check the layering, build and test.
	swift build --explicit-target-dependency-import-check error
	$(MAKE) test

.PHONY: help setup build test demo fuzz lint check
