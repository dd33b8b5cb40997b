# What people type. The build itself is CMake's (CMakePresets.json); each target here is one line of
# it, so that nobody needs to remember that line.
PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)
PYTHON := /usr/bin/python3
# How long bench-docs takes is in docs/benchmarks.rst. bench-peers has two hundred rows: quick takes
# about ten minutes, full an hour and more.
BENCH ?= quick
# What bench-peers passes on to tools/compare.py.
COMPARE ?=
SOURCES = $(shell find src tests bench -name bad -prune -o \
            \( -name '*.h' -o -name '*.hpp' -o -name '*.cpp' -o -name '*.c' \) -print)

.DEFAULT_GOAL := libraries
.PHONY: libraries demo test docs bench-docs bench-peers tidy install package format clean help

libraries: build/release/CMakeCache.txt ## build/release/lib: libhakmem.so, libhakmem.a, hakmem.o
	cmake --build --preset release --parallel $(JOBS) --target libraries

# Neither libraries nor benches need a test framework: without it they build. `make test` turns it on.
build/release/CMakeCache.txt:
	cmake --preset release -DHAKMEM_TESTS=OFF -DHAKMEM_BENCH=OFF

demo: libraries ## real programs, on glibc and on HAKMEM
	$(PYTHON) tools/demo.py --build build/release

test: ## everything that is checked: gcc, clang, sanitizers, docs
	@JOBS=$(JOBS) sh tools/check.sh

docs: ## build/docs/html
	$(PYTHON) docs/build.py

bench-docs: build/release/CMakeCache.txt ## measures all that docs show, BENCH=quick or full, and builds build/docs/html
	cmake --preset release -DHAKMEM_BENCH=ON -DHAKMEM_LTO=ON
	cmake --build --preset release --parallel $(JOBS) --target measured
	$(PYTHON) tools/bench_docs.py --mode $(BENCH) --build build/release
	$(PYTHON) docs/build.py

bench-peers: build/release/CMakeCache.txt ## HAKMEM beside its peers and the bars, BENCH=quick or full, COMPARE="--peer NAME=PATH"
	cmake --preset release -DHAKMEM_BENCH=ON
	cmake --build --preset release --parallel $(JOBS) --target bench_programs hakmem
	$(PYTHON) tools/compare.py --mode $(BENCH) --build build/release $(COMPARE)

tidy: ## the structure rules alone
	$(PYTHON) tests/tidy --build build/release

install: libraries ## into PREFIX (/usr/local) below DESTDIR
	DESTDIR=$(DESTDIR) cmake --install build/release --prefix $(PREFIX)

package: libraries ## build/release/hakmem_*.deb
	cd build/release && cpack -G DEB

format: ## lets clang-format rewrite the sources
	clang-format-14 -i $(SOURCES)

clean: ## removes build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || \
	    sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1   \2/p' Makefile
