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
.PHONY: build demo test test-long lint bench clean distclean help need-swift llama

## build      llama.cpp (once, minutes) and the command line tool, .build/release/ra
build: need-swift llama
	@echo "$(SWIFT) build $(SWIFT_FLAGS)"
	@$(OURS_FIRST) $(SWIFT) build $(SWIFT_FLAGS)

## demo       hides a fact in a novel and asks a small model for it, with retrieval and with exact attention
demo: need-swift
	scripts/demo

# The tests are built for release: most of their time is spent in kernels, which crawl without optimization.
# RA_TEST_MODEL, when set already, names another model for them.
## test       all tests, with a small model (98 MB, fetched once)
test: need-swift llama
	@model="$${RA_TEST_MODEL:-$$(scripts/fetch-model smollm2)}" && export RA_TEST_MODEL="$$model" && \
	echo "RA_TEST_MODEL=$$RA_TEST_MODEL $(SWIFT) test --no-parallel $(SWIFT_FLAGS)" && \
	$(OURS_FIRST) $(SWIFT) test --no-parallel $(SWIFT_FLAGS)

## test-long  what takes minutes more: hidden facts at ten depths, a model with sliding windows
test-long: need-swift llama
	@model="$${RA_TEST_MODEL:-$$(scripts/fetch-model smollm2)}" && sliding="$$(scripts/fetch-model gemma3-270m)" && \
	export RA_TEST_MODEL="$$model" RA_TEST_SLIDING_MODEL="$$sliding" RA_TEST_LONG=1 && \
	$(OURS_FIRST) $(SWIFT) test --no-parallel $(SWIFT_FLAGS) --filter 'HiddenFact|Sliding|sliding|window'

## lint       checks the format of the Swift files
lint: need-swift
	$(SWIFT) format lint --strict --parallel --recursive Sources Tests Package.swift

## bench      times prefill and decode with a small model
bench: build
	@model="$$(scripts/fetch-model smollm2)" && \
	$(RA) bench prefill --model "$$model" && $(RA) bench decode --model "$$model"

## clean      removes what Swift built; llama.cpp and the models stay
clean: need-swift
	$(SWIFT) package clean

## distclean  removes everything that was built or fetched but the models
distclean:
	rm -rf .build .build-* .deps

help:
	@echo "Targets:"; sed -n 's/^## /  /p' Makefile

llama:
	@scripts/bootstrap

need-swift:
	@command -v "$(SWIFT)" >/dev/null 2>&1 || { echo "make: Swift 6.2 or newer is needed and '$(SWIFT)' was not" \
	  "found: https://www.swift.org/install has it for Linux, on macOS Xcode or 'xcode-select --install'." >&2; exit 1; }
