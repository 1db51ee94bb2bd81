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

.PHONY: lint
lint: fmt clippy deny docs-check crds-check ## Formatting, clippy, licences and sources of dependencies, docs, generated files

.PHONY: fmt
fmt:
	$(CARGO) fmt --all --check

.PHONY: clippy
clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: docs-check
docs-check:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked --quiet

.PHONY: deny
deny: $(DENY)
	$(DENY) --log-level warn --all-features --locked check bans licenses sources

$(DENY):
	@echo "installing cargo-deny $(DENY_VERSION) for the lints (a few minutes, once)"
	$(CARGO) install cargo-deny --version $(DENY_VERSION) --locked --root $(TOOLS)/cargo-deny-$(DENY_VERSION)

.PHONY: advisories
advisories: $(DENY) ## Look for known vulnerabilities in dependencies; needs the advisory database
	@$(DENY) --log-level warn check advisories || { \
	  echo "if the database could not be fetched, that is all this says: nothing was checked" >&2; exit 1; }

.PHONY: crds
crds: ## Write the custom resources' YAML into charts/ and their page into docs/
	$(CARGO) run --quiet --package ferrule-crds --bin make-crds -- .

.PHONY: crds-check
crds-check:
	$(CARGO) test --package ferrule-crds --test generated --locked --quiet

.PHONY: docs
docs: ## Write the pages of docs/ that are generated: annotations
	$(CARGO) run --quiet --package ferrule-proxy-injector --example annotations > docs/annotations.md.new
	mv docs/annotations.md.new docs/annotations.md

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
