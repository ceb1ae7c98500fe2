# `make` prints this help.
SHELL := /bin/bash
.DEFAULT_GOAL := help

help: ## Print this help.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install what the build and the tests need from Debian (quiet, skipped when present).
	@missing=; for p in libsqlite3-dev libssl-dev libcurl4-openssl-dev nghttp2-server curl python3; do \
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

manual: ## Write the manual page, Docs/martlet.1, from the command line's own help.
	swift build --product martlet
	python3 Scripts/manual-page.py .build/debug/martlet > Docs/martlet.1

lint: ## Check the formatting.
	swift format lint --strict --recursive --parallel Package.swift Sources Tests

check: lint ## Lint, check the layering, build and test.
	swift build --explicit-target-dependency-import-check error
	$(MAKE) test

.PHONY: help setup build test demo manual lint check
