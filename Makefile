# make            builds .build/release/ra
# make help       lists the other targets
#
# Everything here is a short name for a command that works just as well by hand.

SWIFT ?= swift
SWIFT_FLAGS = -c release --pkg-config-path .deps/lib/pkgconfig
RA = .build/release/ra
# SwiftPM looks into PKG_CONFIG_PATH first, so another llama.cpp that it names must come second.
OURS_FIRST = PKG_CONFIG_PATH="$(CURDIR)/.deps/lib/pkgconfig$${PKG_CONFIG_PATH:+:$$PKG_CONFIG_PATH}"

.DEFAULT_GOAL := build
.PHONY: build release install uninstall dist deb demo test test-long test-gpu test-page test-models examples lint docs bench bench-index bench-machine count-instructions clean distclean help need-curl need-swift llama

## build      llama.cpp (once, minutes) and the command line tool, .build/release/ra
build: need-swift llama
	@echo "$(SWIFT) build $(SWIFT_FLAGS)"
	@$(OURS_FIRST) $(SWIFT) build $(SWIFT_FLAGS)
	@[ ! -d .deps/backends ] || scripts/bootstrap

# macOS has Swift's runtime, and Linux does not: there a program is built anew with it inside. PORTABLE=1 builds for all
# processors of the last ten years instead of this one.
PREFIX ?= /usr/local
PORTABLE_FLAG = $(if $(filter 1 yes,$(PORTABLE)),--portable)
## release    the program to install: one file with Swift's runtime inside (Linux), for this processor or PORTABLE=1
release: need-swift
	@SWIFT="$(SWIFT)" scripts/build-release $(PORTABLE_FLAG)

## install    program, manual pages and completions under PREFIX=/usr/local; DESTDIR goes in front, for packages
install: need-swift
	@program="$$(SWIFT="$(SWIFT)" scripts/build-release $(PORTABLE_FLAG))" && \
	scripts/install-files --program "$$program" --prefix "$(PREFIX)" --destdir "$(DESTDIR)"

## uninstall  removes what 'make install' with the same PREFIX and DESTDIR put there
uninstall:
	@scripts/install-files --uninstall --prefix "$(PREFIX)" --destdir "$(DESTDIR)"

# SOURCE_URL is the folder of the web that the archives will be in, for Homebrew's recipe.
## dist       a release in dist/: archives of program and sources, the list of all parts, licences, checksums
dist: need-swift
	@SWIFT="$(SWIFT)" scripts/dist $(if $(SOURCE_URL),--source-url "$(SOURCE_URL)")

## deb        a package for Debian and Ubuntu beside them, of what 'make dist' made
deb:
	@packaging/debian/build-deb

## demo       hides a fact in a novel and asks a small model for it, with retrieval, exact and llama.cpp's attention
demo: need-swift
	scripts/demo

# The tests are built for release: most of their time is spent in kernels, which crawl without optimization.
# RA_TEST_MODEL, when set already, names another model for them.
## test       all tests, with a small model (98 MB, fetched once)
test: need-swift need-curl llama
	@model="$${RA_TEST_MODEL:-$$(scripts/fetch-model smollm2)}" && export RA_TEST_MODEL="$$model" && \
	echo "RA_TEST_MODEL=$$RA_TEST_MODEL $(SWIFT) test --no-parallel $(SWIFT_FLAGS)" && \
	$(OURS_FIRST) $(SWIFT) test --no-parallel $(SWIFT_FLAGS)

## test-long  what takes minutes more: hidden facts at ten depths, a model with sliding windows
test-long: need-swift llama
	@model="$${RA_TEST_MODEL:-$$(scripts/fetch-model smollm2)}" && sliding="$$(scripts/fetch-model gemma3-270m)" && \
	export RA_TEST_MODEL="$$model" RA_TEST_SLIDING_MODEL="$$sliding" RA_TEST_LONG=1 && \
	$(OURS_FIRST) $(SWIFT) test --no-parallel $(SWIFT_FLAGS) --filter 'HiddenFact|Sliding|sliding|window'

## test-gpu   layers on Mesa's Vulkan driver for the CPU and on an RPC server here (needs packages, tells which)
test-gpu: need-swift
	@SWIFT="$(SWIFT)" scripts/test-gpu

## test-page  the server's page in Chromium (needs it; playwright comes from PyPI), pictures in .build/page
test-page: build
	@Tests/clients/page

## test-models  a tiny random model of each of llama.cpp's architectures, checked by ra doctor; table in docs/models.md
test-models: build
	scripts/test-models --table

# Not part of the tests: it needs valgrind, and counts belong to one compiler.
## count-instructions  instructions of each kernel on fixed inputs, against checked-in baselines (needs valgrind)
count-instructions:
	scripts/count-instructions

## bench-machine  the machine's bandwidth and arithmetic, and each kernel's share of them
bench-machine: build
	$(RA) bench machine

# The tests build the same files; here they see what any package sees, public declarations only.
## examples   a method of attention and a kind of index in a package of their own, Examples
examples: need-swift llama
	$(OURS_FIRST) $(SWIFT) build -c release --package-path Examples --scratch-path .build-examples \
	  --pkg-config-path .deps/lib/pkgconfig

## lint       checks the format of the Swift files, the width of comments, the order of the targets, and the tables of the docs
lint: need-swift
	$(SWIFT) format lint --strict --parallel --recursive Sources Tests Examples Package.swift
	scripts/house --self-test && scripts/house --check
	scripts/update-tables --self-test && scripts/update-tables --check

## docs       the documentation of the libraries with DocC, where a warning is an error
docs: build
	@$(OURS_FIRST) SWIFT="$(SWIFT)" scripts/check-docs

# Retrieval, exact attention and the host in one run of each model; Qwen only when its file is there already.
SPEED = .build/bench-speed
## bench      decode to 128K tokens and prefill beside llama.cpp, with a small model; report in .build/bench-speed
bench: build
	@model="$$(scripts/fetch-model smollm2)" && \
	$(RA) bench speed --model "$$model" --text Texts/persuasion.txt --report $(SPEED)/smollm2
	@if model="$$(scripts/fetch-model --offline qwen2.5-coder-1.5b 2>/dev/null)"; then \
	  $(RA) bench speed --model "$$model" --text Texts/persuasion.txt --period 8192 --report $(SPEED)/qwen2.5-coder-1.5b; fi
	@echo "reports: $(SPEED)"

# PEERS=0 leaves faiss and hnswlib out.
INDEX = .build/bench-index
## bench-index  kinds of index beside faiss and hnswlib on heads of a small model; table and plot in .build/bench-index
bench-index: build
	@model="$$(scripts/fetch-model smollm2)" && mkdir -p $(INDEX) && \
	if [ ! -e $(INDEX)/capture/capture.json ]; then \
	  $(RA) capture --model "$$model" --text Texts/persuasion.txt --context 7680 --layers 1,7,13,19,25 \
	    --output $(INDEX)/capture; fi && \
	merge= && if [ "$${PEERS:-1}" != 0 ]; then \
	  Benchmarks/peers/peers.py --capture $(INDEX)/capture --k 100,512 --output $(INDEX)/peers.json && \
	  merge="--merge $(INDEX)/peers.json"; fi && \
	$(RA) bench index --capture $(INDEX)/capture --k 100,512 $$merge --plot $(INDEX)/index.svg >$(INDEX)/table.txt && \
	cat $(INDEX)/table.txt && echo "table and plot: $(INDEX)/table.txt, $(INDEX)/index.svg"

## clean      removes what Swift built; llama.cpp and the models stay
clean: need-swift
	$(SWIFT) package clean

## distclean  removes everything that was built or fetched but the models
distclean:
	rm -rf .build .build-* .deps dist dist.partial

help:
	@echo "Targets:"; sed -n 's/^## /  /p' Makefile

llama:
	@scripts/bootstrap

need-curl:
	@command -v curl >/dev/null 2>&1 || { echo "make: curl is needed, which ra pull fetches models with, and was not" \
	  "found: on Debian 'apt-get install curl'." >&2; exit 1; }

need-swift:
	@command -v "$(SWIFT)" >/dev/null 2>&1 || { echo "make: Swift 6.2 or newer is needed and '$(SWIFT)' was not" \
	  "found: https://www.swift.org/install has it for Linux, on macOS Xcode or 'xcode-select --install'." >&2; exit 1; }
