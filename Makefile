# `make` prints this help.
SHELL := /bin/bash
.DEFAULT_GOAL := help

help: ## Print this help.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## Install what the build and the tests need from Debian (quiet, skipped when present).
	@missing=; for p in libsqlite3-dev libssl-dev libnghttp2-dev libcurl4-openssl-dev zlib1g-dev libzstd-dev libyaml-dev nghttp2-server bubblewrap curl python3 python3-venv python3-yaml sqlite3; do \
	  dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing > /dev/null; fi

build: setup ## Build the release binary, .build/release/martlet.
	swift build -c release --product martlet

# SwiftPM leaves folders behind where temporary files go.
test: setup ## Run all tests: Swift's, the Python worker's, then end to end against the real binary.
	swift build --build-tests
	folder=$$(mktemp -d) && TMPDIR=$$folder swift test --skip-build; status=$$?; rm -rf "$$folder"; exit $$status
	$(MAKE) -s .build/client-venv/ready
	.build/client-venv/bin/python -m unittest discover -v -s Python/tests
	python3 -m unittest discover -v -s Tests/EndToEnd
	python3 -m unittest discover -s Tests/HTTPConformance
	MINUTES=1 $(MAKE) -s faults
	$(MAKE) -s fuzz SECONDS=5

# What the tests of the Python client use from PyPI.
.build/client-venv/ready: Python/tests/requirements.txt
	@python3 -m venv .build/client-venv
	@timeout 600 .build/client-venv/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@

# CPython's own tests, of the version that runs here.
.build/conformance/ready: VERSION = $(shell python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
.build/conformance/ready:
	@rm -rf .build/conformance && mkdir -p .build/conformance
	@cd .build/conformance && apt-get download -qq libpython$(VERSION)-testsuite 2> /dev/null \
	  && dpkg -x libpython*.deb . && ln -s usr/lib/python$(VERSION) suite && touch ready

conformance: setup .build/client-venv/ready .build/conformance/ready ## Run CPython's tests of executors and pools, and joblib's own, on Martlet.
	swift build --product martlet
	.build/client-venv/bin/python Python/conformance/cpython.py .build/conformance/suite
	PYTHONPATH=Python/conformance .build/client-venv/bin/python -m pytest -q -rs -p joblib_plugin \
	  -p no:cacheprovider -p no:warnings --pyargs joblib.test.test_parallel

demo: build ## Start the service, run the programs of parallel Python as jobs, stop.
	python3 Examples/demo.py

manual: ## Write the manual page, Docs/martlet.1, from the command line's own help.
	swift build --product martlet
	python3 Scripts/manual-page.py .build/debug/martlet > Docs/martlet.1

settings: ## Write the README's table of settings from the program's own.
	swift build --product martlet
	python3 Scripts/settings-table.py .build/debug/martlet

bench: build ## Measure Martlet beside FastAPI + Celery, ProcessPoolExecutor, joblib and others, in one run.
	Benchmarks/setup.sh
	Benchmarks/.peers/venv/bin/python Benchmarks/bench.py --runs $(or $(RUNS),3)

bench-http: build ## Measure the HTTP server beside nginx, Hummingbird and FlyingFox, in one run.
	swift build -c release --product decode-server
	Benchmarks/http/setup.sh
	python3 Benchmarks/http/bench.py --runs $(or $(RUNS),5)

faults: setup ## Faults at random moments and the promises after each, SEED=1 MINUTES=1.5; prints the counts.
	swift build --product martlet
	SEED=$(SEED) MINUTES=$(MINUTES) python3 Tests/Faults/faults.py

sanitize: setup ## Run Swift's tests and those end to end under the thread and the address sanitizer.
	Tests/Sanitizers/run.sh thread
	Tests/Sanitizers/run.sh address

repeat: setup ## Run Swift's tests and those end to end TIMES=20 times, AT_ONCE=4 beside each other; FILES="test_maps …" for some.
	swift build --build-tests
	FILES="$(FILES)" Tests/repeat.sh $(or $(TIMES),20) $(or $(AT_ONCE),4)

soak: build ## Run good, bad and slow clients at once for SECONDS=300; fails on growth or a wrong answer.
	python3 Tests/HTTPConformance/soak.py $(or $(SECONDS),300)

cgroup-test: setup ## Try the limits that cgroups hold, on a kernel of their own in qemu; TESTS="test_cgroup.PlaceTests …" for some, ACCEL=kvm.
	@command -v qemu-system-x86_64 > /dev/null || { apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-system-x86 > /dev/null; }
	swift build --product martlet
	python3 Tests/Cgroup/machine.py -v $(or $(TESTS),test_cgroup)

image-test: ## Build the container images and try them, with docker or podman.
	Docker/image-test.sh

api-reference: setup ## Make Dashboard/docs.html of openapi.yaml.
	/usr/bin/python3 Scripts/api-reference.py

fuzz: setup ## Fuzz the HTTP/1.1 parser, the JSON scanner and the HTTP/2 session, SECONDS=60 each.
	swift build --package-path Fuzzing --scratch-path .build-fuzz -c release -Xswiftc -enable-testing \
	  -Xswiftc -sanitize=address,fuzzer -Xswiftc -use-ld=lld
	for target in HTTP1:http1 RawJSON:json HTTP2:http2; do \
	  mkdir -p .build-fuzz/corpus/$${target#*:}; \
	  .build-fuzz/release/Fuzz$${target%:*} -runs=0 2>&1 | grep -q "inline 8-bit counters" || exit 1; \
	  .build-fuzz/release/Fuzz$${target%:*} -max_total_time=$(or $(SECONDS),60) -max_len=4096 -timeout=5 -rss_limit_mb=2048 \
	    -detect_leaks=0 -print_final_stats=1 -artifact_prefix=.build-fuzz/ .build-fuzz/corpus/$${target#*:} \
	    Fuzzing/corpus/$${target#*:} || exit 1; \
	done

lint: ## Check the formatting.
	swift format lint --strict --recursive --parallel Package.swift Sources Tests Fuzzing/Package.swift Benchmarks/http/decode-server \
	  Fuzzing/Sources/Fuzz*

check: lint ## Lint, check the layering, build and test.
	swift build --explicit-target-dependency-import-check error
	$(MAKE) test

.PHONY: help setup build test conformance demo manual settings bench bench-http faults sanitize repeat soak fuzz cgroup-test image-test api-reference lint check
