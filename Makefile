# Two commands set everything up: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# NVML's symbols are looked up only when called: a program linked with -z now
# would die at start on a machine without the driver.
export CGO_ENABLED := 1
export CGO_CFLAGS := -O2 -g -Wno-deprecated-declarations
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -extldflags=-Wl,-z,lazy
GO_BUILD := go build -trimpath -ldflags '$(LDFLAGS)'
# llcuda-build opens no library at run time: linked statically it starts half a
# millisecond sooner, and runs where the C library is older than here.
STATIC := go build -trimpath -tags netgo,osusergo -ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -linkmode=external -extldflags=-static'

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## the programs into bin/: llcuda-build, its other half llcuda-engine, llcuda-run
	@mkdir -p bin
	$(STATIC) -o bin/ ./cmd/llcuda-build
	$(GO_BUILD) -o bin/ ./cmd/llcuda-engine ./cmd/llcuda-run

.PHONY: demo
demo: build ## the main job on real parts: engine, real llama.cpp, nvcc, signed release, a served model; FULL=1: CUDA cells of llama.cpp too
	FULL=$(FULL) scripts/demo.sh

.PHONY: test
test: ## the hermetic tests: no engine, no network, no GPU
	go test -ldflags '-extldflags=-Wl,-z,lazy' $(TESTFLAGS) ./...

.PHONY: test-engine
test-engine: build ## the tests that need a real Dagger engine and a real llama-server
	scripts/test-engine.sh

.PHONY: test-github
test-github: ## publishing against npm's emulator of GitHub and GitHub's own description (a part of test-engine)
	scripts/test-github.sh

.PHONY: coverage-page
coverage-page: ## look at the page of `llcuda-build coverage --html` in headless Chromium, at three widths
	scripts/coverage-page.sh

.PHONY: soak
soak: ## every fuzz target for SECONDS_EACH (60), the kill loops many times over, the coverage page, make corpus
	scripts/soak.sh $(or $(SECONDS_EACH),60)

.PHONY: corpus
corpus: ## both witnesses on every real file at hand: fetch, build with nvcc 11.8 and 12.4, compare
	scripts/corpus.sh

.PHONY: bench
bench: build ## our times beside cuobjdump's, tar's and zstd's, as ratios (measures, does not fail)
	scripts/bench.sh

.PHONY: proof-gpu
proof-gpu: ## what docs/proof/run.sh needs on a machine with a GPU, into dist/proof; SOURCE=1: llama.cpp too; BUNDLE=DIST: a bundle built here too
	SOURCE=$(SOURCE) BUNDLE=$(BUNDLE) scripts/proof-gpu.sh $(or $(OUT),dist/proof)

.PHONY: engine
engine: ## a real Dagger engine and a local registry (no Docker needed, root is)
	engine/up.sh

.PHONY: images
images: engine ## stand-ins for the images of the matrix (cpu, CUDA 11.8, CUDA 12.4) out of Debian's packages
	engine/image.sh cpu cuda-11.8 cuda-12.4

.PHONY: engine-stop
engine-stop: ## stop them and leave no trace but the cache
	engine/down.sh

.PHONY: cell
cell: build ## CELL into dist/ as release.yml builds it; CCACHE=FILE.tar: with the compiler cache from there, saved there
	scripts/cell.sh $(CELL) $(CCACHE)

.PHONY: publish
publish: build ## sign and publish dist/ as release TAG of REPO (RELEASE.md); DRY_RUN=1
	DRY_RUN=$(DRY_RUN) scripts/publish.sh $(REPO) $(TAG)

.PHONY: gpu-selftest
gpu-selftest: ## on a machine with a GPU: install release TAG of REPO and let it prove itself
	scripts/gpu-selftest.sh $(REPO) $(TAG)

.PHONY: man
man: ## the man pages of both programs into OUT (bin/man)
	scripts/man.sh $(or $(OUT),bin/man)

.PHONY: release-files
release-files: build ## both programs as they are released, man pages, completions, install.sh, into OUT (dist/extra); REBUILD=1: twice, compared
	REBUILD=$(REBUILD) BUILDER=$(BUILDER) scripts/release-files.sh $(or $(OUT),dist/extra)

.PHONY: reproducible
reproducible: build ## CELL (cpu) of llama.cpp twice, from nothing, in different folders: the same bytes or each difference
	scripts/reproducible.sh $(or $(CELL),cpu)

.PHONY: locked
locked: build ## fails unless matrix/cuda.lock.json pins every cell's image by its digest (release.yml asks this first)
	scripts/locked.sh

.PHONY: release-rehearsal
release-rehearsal: build ## release.yml's steps on this machine, against a fake GitHub on loopback, killed and repeated; REAL=0: no real llama.cpp
	REAL=$(REAL) scripts/rehearse-release.sh

.PHONY: vulnerabilities
vulnerabilities: ## govulncheck on what both programs call (75 of the script: not asked), and which modules have newer versions
	scripts/vulnerabilities.sh

.PHONY: release-check
release-check: ## what a user gets: install llcuda-run TAG of REPO, verify sums, signature and attestations (network)
	scripts/release-check.sh $(REPO) $(TAG)

.PHONY: lint
lint: ## gofmt, go vet, golangci-lint (the architecture), shellcheck, actionlint
	scripts/lint.sh

.PHONY: clean
clean: ## what was built in this clone
	rm -rf bin dist

.PHONY: clean-cache
clean-cache: engine-stop ## everything kept outside the clone
	scripts/clean-cache.sh
