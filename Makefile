# SPDX-License-Identifier: Apache-2.0
# The front door, thin over meson. `make demo` and `make check` do all their own set-up on Debian 12.

BUILD ?= build
SHELL := /bin/bash

.PHONY: all deps build check check-all check-unit check-e2e check-programs prove fuzz coverage demo bench install clean help

all: build

help:
	@echo 'make deps     install what is needed from Debian (root or sudo)'
	@echo 'make build    build into $(BUILD)/; $(BUILD)/rakis runs in place'
	@echo 'make demo     iperf3 in an enclave, beside native and an exit per call'
	@echo 'make check    proofs, unit tests, fuzzers, end-to-end tests, quick programs of the catalogue'
	@echo 'make check-all  the same with all programs of the catalogue, by rings and by exits'
	@echo 'make check-programs  all programs of the catalogue alone'
	@echo 'make prove    the proofs of the boundary alone'
	@echo 'make fuzz     all fuzzers, an hour each by libFuzzer and by AFL++; FUZZ_TIME=SECONDS, FUZZ="NAME..."'
	@echo 'make coverage  lines and branches that unit tests and fuzzers reach'
	@echo 'make bench    benchmarks, a quarter of an hour; BENCH="--quick": three minutes'
	@echo 'make install  into DESTDIR and prefix'

deps:
	@scripts/deps

# Dependencies only when one is missing: an ordinary build asks for no privilege.
$(BUILD)/build.ninja:
	@scripts/deps --if-missing
	meson setup $(BUILD)

build: $(BUILD)/build.ninja
	ninja -C $(BUILD)

demo: build
	@scripts/demo $(BUILD)

prove:
	@scripts/deps --if-missing
	@proofs/run --cache $(BUILD)/proved

# New inputs stay in $(BUILD)/fuzz/corpus: the next run goes on from there.
FUZZ_TIME ?= 3600

fuzz:
	@scripts/deps --if-missing
	@fuzz/run $(BUILD) --time $(FUZZ_TIME) $(FUZZ)

coverage:
	@scripts/deps --if-missing
	@scripts/coverage $(BUILD)

check-unit: build
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs

check-e2e: build
	@tests/e2e/run $(BUILD)

check-programs: build
	@tests/catalogue/run $(BUILD) --all && tests/catalogue/hundred $(BUILD)

check: build
	@scripts/check $(BUILD)

check-all: build
	@scripts/check $(BUILD) --all

# What needs a package that cannot be installed is skipped.
bench: build
	-@scripts/deps --if-missing --bench
	@bench/run $(BUILD) $(BENCH)

install: build
	meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD)
